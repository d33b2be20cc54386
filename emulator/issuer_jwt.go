package emulator

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const (
	// keyBits is the size of Google's own service-account keys; real clients refuse weak ones.
	keyBits = 2048
	// maxAssertionLife is Google's limit on exp − iat of an assertion.
	maxAssertionLife = time.Hour
	// assertionLeeway is how far the clocks of client and token endpoint may differ.
	assertionLeeway = 5 * time.Minute
)

// signingKey is the RSA key of the cloud's one service account. It is made on first use, because making it costs as
// much as everything else that a short test does.
type signingKey struct {
	once    sync.Once
	private *rsa.PrivateKey
	id      string
	err     error

	mu      sync.Mutex
	account string // the account that self-signed tokens must name; empty until a key file was handed out
}

func (k *signingKey) get() (*rsa.PrivateKey, string, error) {
	k.once.Do(func() {
		k.private, k.err = rsa.GenerateKey(rand.Reader, keyBits)
		if k.err == nil {
			id := sha256.Sum256(k.private.N.Bytes())
			k.id = hex.EncodeToString(id[:20])
		}
	})
	return k.private, k.id, k.err
}

// keyFile is the JSON that Google's console downloads for a service account.
func (k *signingKey) keyFile(account, project, tokenURI string) ([]byte, error) {
	private, id, err := k.get()
	if err != nil {
		return nil, fmt.Errorf("emulator: make a service-account key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("emulator: encode the service-account key: %w", err)
	}
	k.mu.Lock()
	k.account = account
	k.mu.Unlock()
	return json.MarshalIndent(map[string]string{
		"type":            "service_account",
		"project_id":      project,
		"private_key_id":  id,
		"private_key":     string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email":    account,
		"client_id":       "109876543210987654321",
		"token_uri":       tokenURI,
		"universe_domain": "googleapis.com",
	}, "", "  ")
}

// claims are the fields of a JWT that Google's token endpoint and APIs look at.
type claims struct {
	Issuer         string `json:"iss"`
	Subject        string `json:"sub,omitempty"`
	Audience       string `json:"aud,omitempty"`
	Scope          string `json:"scope,omitempty"`
	TargetAudience string `json:"target_audience,omitempty"`
	Email          string `json:"email,omitempty"`
	IssuedAt       int64  `json:"iat"`
	Expires        int64  `json:"exp"`
}

func (k *signingKey) sign(c any) (string, error) {
	private, id, err := k.get()
	if err != nil {
		return "", err
	}
	header, err := json.Marshal(map[string]string{"alg": "RS256", "typ": "JWT", "kid": id})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	signed := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	digest := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, private, crypto.SHA256, digest[:])
	if err != nil {
		return "", err
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// verify checks the signature and the times of token and returns what it claims. Its errors carry the reasons that
// Google's endpoint gives, and nothing of the token.
func (k *signingKey) verify(token string, now time.Time) (claims, error) {
	var c claims
	private, id, err := k.get()
	if err != nil {
		return c, err
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, errors.New("invalid JWT: it must have three parts")
	}
	var header struct{ Alg, Kid string }
	if err := decodePart(parts[0], &header); err != nil {
		return c, errors.New("invalid JWT: the header is not base64url JSON")
	}
	if header.Alg != "RS256" {
		return c, errors.New("invalid JWT: alg must be RS256")
	}
	if header.Kid != "" && header.Kid != id {
		return c, errors.New("invalid JWT signature: unknown key id")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return c, errors.New("invalid JWT signature")
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if rsa.VerifyPKCS1v15(&private.PublicKey, crypto.SHA256, digest[:], signature) != nil {
		return c, errors.New("invalid JWT signature")
	}
	if err := decodePart(parts[1], &c); err != nil {
		return c, errors.New("invalid JWT: the claims are not base64url JSON")
	}
	issued, expires := time.Unix(c.IssuedAt, 0), time.Unix(c.Expires, 0)
	if issued.After(now.Add(assertionLeeway)) || expires.Before(now.Add(-assertionLeeway)) ||
		expires.Sub(issued) > maxAssertionLife+time.Minute {
		return c, errors.New("invalid JWT: token must be short-lived (60 minutes) and in a reasonable timeframe; " +
			"check the iat and exp values")
	}
	return c, nil
}

func decodePart(part string, into any) error {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(part, "="))
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// checkSelfSigned accepts what google.JWTAccessTokenSourceFromJSON and its kin send: a JWT that the account signed
// for itself, with an audience or a scope.
func (k *signingKey) checkSelfSigned(token string, now time.Time) (grant, error) {
	k.mu.Lock()
	account := k.account
	k.mu.Unlock()
	if account == "" {
		return grant{}, ErrTokenUnknown
	}
	c, err := k.verify(token, now)
	switch {
	case err != nil, c.Issuer != account, c.Subject != account, c.Audience == "" && c.Scope == "":
		return grant{}, ErrTokenUnknown
	case !now.Before(time.Unix(c.Expires, 0)):
		return grant{}, ErrTokenExpired
	}
	return grant{account: account, scopes: strings.Fields(c.Scope), expiry: time.Unix(c.Expires, 0)}, nil
}
