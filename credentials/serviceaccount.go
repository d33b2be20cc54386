package credentials

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
)

// CloudPlatform is the scope under which IAM alone decides what an account may do.
const CloudPlatform = "https://www.googleapis.com/auth/cloud-platform"

const (
	grantJWT       = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	googleTokenURL = "https://oauth2.googleapis.com/token"
)

// serviceAccount exchanges an assertion signed with the account's key for a token (RFC 7523).
type serviceAccount struct {
	endpoint
	key      *rsa.PrivateKey
	keyID    string
	scopes   []string
	identify string
}

func newServiceAccount(f *keyFile, o KeyOptions) (Source, error) {
	if f.ClientEmail == "" || f.PrivateKey == "" {
		return nil, errors.New("it lacks client_email or private_key")
	}
	key, err := parseKey(f.PrivateKey)
	if err != nil {
		return nil, err
	}
	if f.TokenURI == "" {
		f.TokenURI = googleTokenURL
	}
	end, err := newEndpoint(o.Client, f.TokenURI, o.Name, f.ClientEmail)
	if err != nil {
		return nil, err
	}
	scopes := slices.Clone(o.Scopes)
	if len(scopes) == 0 {
		scopes = []string{CloudPlatform}
	}
	account := &serviceAccount{
		endpoint: end,
		key:      key,
		keyID:    f.PrivateKeyID,
		scopes:   scopes,
		identify: identity("service-account", []string{f.TokenURI, f.ClientEmail, fingerprint(f.PrivateKey)}, scopes),
	}
	if o.SelfSigned {
		return &selfSigned{account, o.Audience}, nil
	}
	return account, nil
}

// parseKey reads a PEM block of PKCS 8, which Google issues, or PKCS 1, which openssl makes of it. What is
// wrong with a key is told without the decoder's words, which may quote it.
func parseKey(text string) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("its private_key is not PEM: were the line breaks lost?")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("its private_key is damaged")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("its private_key is not an RSA key")
	}
	return key, nil
}

func (s *serviceAccount) Identity() string { return s.identify }

func (s *serviceAccount) Name() string { return s.name }

func (s *serviceAccount) Account(context.Context) (string, error) { return s.account, nil }

func (s *serviceAccount) Fetch(ctx context.Context) (*Token, error) {
	assertion, err := s.assertion(map[string]any{"aud": s.url, "scope": strings.Join(s.scopes, " ")})
	if err != nil {
		return nil, err
	}
	return s.request(ctx, url.Values{"grant_type": {grantJWT}, "assertion": {assertion}}, assertion)
}

const (
	// clockLead is how far an assertion is dated back, for a server whose clock is behind ours.
	clockLead = 10 * time.Second

	// assertionLife is the longest that Google accepts.
	assertionLife = time.Hour
)

// assertion is a JWT with these claims, issued by the account and signed with its key.
func (s *serviceAccount) assertion(claims map[string]any) (string, error) {
	issued := time.Now().Add(-clockLead)
	claims["iss"], claims["iat"], claims["exp"] = s.account, issued.Unix(), issued.Add(assertionLife).Unix()
	text, err := s.sign(claims)
	if err != nil {
		return "", s.fail(Misconfigured, errors.New("its private_key cannot sign"), "issue a new key")
	}
	return text, nil
}

func (s *serviceAccount) sign(claims map[string]any) (string, error) {
	header, err := json.Marshal(map[string]any{"alg": "RS256", "typ": "JWT", "kid": s.keyID})
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
