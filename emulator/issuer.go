package emulator

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
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
}

type grant struct {
	account string
	expiry  time.Time
	revoked bool
}

// NewIssuer returns an issuer that has issued nothing yet.
func NewIssuer() *Issuer {
	return &Issuer{grants: make(map[[sha256.Size]byte]grant), keys: new(signingKey)}
}

// Issue returns a new, unguessable access token for account that Check accepts during life.
func (i *Issuer) Issue(account string, life time.Duration) string {
	secret := make([]byte, 48)
	_, _ = rand.Read(secret) // crypto/rand.Read never fails
	token := "ya29." + base64.RawURLEncoding.EncodeToString(secret)
	now := time.Now()

	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.grants) >= remembered {
		i.forget(now)
	}
	i.grants[sha256.Sum256([]byte(token))] = grant{account: account, expiry: now.Add(life)}
	i.issued++
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
	digest := sha256.Sum256([]byte(bearer))
	i.mu.RLock()
	g, ok := i.grants[digest]
	i.mu.RUnlock()
	switch {
	case !ok && strings.Count(bearer, ".") == 2:
		return i.keys.checkSelfSigned(bearer, time.Now())
	case !ok:
		return ErrTokenUnknown
	case g.revoked:
		return ErrTokenRevoked
	case !time.Now().Before(g.expiry):
		return ErrTokenExpired
	}
	return nil
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
