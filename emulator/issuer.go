package emulator

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Why a bearer token is refused. Check's errors match exactly one of them, and never hold the token.
var (
	ErrTokenUnknown = errors.New("emulator: bearer token was not issued by this cloud")
	ErrTokenExpired = errors.New("emulator: bearer token has expired")
	ErrTokenRevoked = errors.New("emulator: bearer token has been revoked")
)

// remembered is how many tokens an Issuer holds before it forgets dead ones: a client that asks for a token per request
// must find a fake that stays small, while a test that asks about its own expired token must hear "expired".
const remembered = 1 << 16

// Issuer issues access tokens and knows which of them are alive. It keeps only digests, so that nothing that prints an
// Issuer can leak a token. It is safe for concurrent use.
type Issuer struct {
	mu     sync.RWMutex
	grants map[[sha256.Size]byte]grant
	issued int64
	keys   *signingKey

	bounded atomic.Bool // a token with an access boundary was issued
}

type grant struct {
	account string
	scopes  []string // nil where nobody asked for any
	bounds  boundary // nil for a token that may do whatever its account may
	expiry  time.Time
	revoked bool
}

// NewIssuer returns an issuer that has issued nothing yet.
func NewIssuer() *Issuer {
	return &Issuer{grants: make(map[[sha256.Size]byte]grant), keys: new(signingKey)}
}

// Issue returns a new, unguessable access token for account that Check accepts during life.
func (i *Issuer) Issue(account string, life time.Duration) string {
	return i.issue(grant{account: account, expiry: time.Now().Add(life)})
}

func (i *Issuer) issue(g grant) string {
	secret := make([]byte, 48)
	_, _ = rand.Read(secret) // crypto/rand.Read never fails
	token := "ya29." + base64.RawURLEncoding.EncodeToString(secret)

	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.grants) >= remembered {
		i.forget(time.Now())
	}
	i.grants[sha256.Sum256([]byte(token))] = g
	i.issued++
	if g.bounds != nil {
		i.bounded.Store(true)
	}
	return token
}

// forget drops the dead tokens.
func (i *Issuer) forget(now time.Time) {
	for digest, g := range i.grants {
		if g.revoked || now.After(g.expiry) {
			delete(i.grants, digest)
		}
	}
}

// Issued is the number of tokens issued so far.
func (i *Issuer) Issued() int64 {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.issued
}

// Check reports whether bearer (without the word Bearer) is alive: nil, or an error that matches ErrTokenUnknown,
// ErrTokenExpired or ErrTokenRevoked. A self-signed JWT of this cloud's service account is accepted too, as Google's
// APIs do.
func (i *Issuer) Check(bearer string) error {
	_, err := i.lookup(bearer)
	return err
}

// lookup finds what a token that is alive was issued for.
func (i *Issuer) lookup(bearer string) (grant, error) {
	digest := sha256.Sum256([]byte(bearer))
	i.mu.RLock()
	g, ok := i.grants[digest]
	i.mu.RUnlock()
	switch {
	case !ok && strings.Count(bearer, ".") == 2:
		return i.keys.checkSelfSigned(bearer, time.Now())
	case !ok:
		return grant{}, ErrTokenUnknown
	case g.revoked:
		return grant{}, ErrTokenRevoked
	case !time.Now().Before(g.expiry):
		return grant{}, ErrTokenExpired
	}
	return g, nil
}

// TokenInfo is what the cloud knows of a token.
type TokenInfo struct {
	Account string    // the principal that it stands for
	Scopes  []string  // as they were asked for; nil if none were
	Expiry  time.Time // when Check begins to refuse it
	Bounded bool      // it carries a credential access boundary
}

// Info describes bearer, if Check would accept it.
func (i *Issuer) Info(bearer string) (TokenInfo, error) {
	g, err := i.lookup(bearer)
	if err != nil {
		return TokenInfo{}, err
	}
	return TokenInfo{Account: g.account, Scopes: slices.Clone(g.scopes), Expiry: g.expiry, Bounded: g.bounds != nil}, nil
}

// Revoke makes Check refuse bearer from now on and reports whether it was alive until now.
func (i *Issuer) Revoke(bearer string) bool {
	digest := sha256.Sum256([]byte(bearer))
	i.mu.Lock()
	defer i.mu.Unlock()
	g, ok := i.grants[digest]
	if !ok || g.revoked || !time.Now().Before(g.expiry) {
		return false
	}
	g.revoked = true
	i.grants[digest] = g
	return true
}

// RevokeAll revokes every token that is alive and returns how many there were.
func (i *Issuer) RevokeAll() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	now, n := time.Now(), 0
	for digest, g := range i.grants {
		if !g.revoked && now.Before(g.expiry) {
			g.revoked = true
			i.grants[digest] = g
			n++
		}
	}
	return n
}
