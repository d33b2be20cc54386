package credentials

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

var testKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// keyJSON is a service-account key as Google's console hands it out, with changes.
func keyJSON(t testing.TB, change map[string]string) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(testKey())
	if err != nil {
		t.Fatal(err)
	}
	key := map[string]string{
		"type":           "service_account",
		"client_email":   "robot@example.iam.gserviceaccount.com",
		"private_key_id": "k1",
		"private_key":    string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"token_uri":      "https://oauth2.example.com/token",
	}
	for name, value := range change {
		key[name] = value
	}
	text, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func form(t *testing.T, req *http.Request) url.Values {
	t.Helper()
	if err := req.ParseForm(); err != nil {
		t.Error(err)
	}
	return req.PostForm
}

func TestServiceAccount(t *testing.T) {
	client := roundTrip(func(req *http.Request) (*http.Response, error) {
		sent := form(t, req)
		if sent.Get("grant_type") != grantJWT || req.URL.String() != "https://oauth2.example.com/token" {
			t.Errorf("sent %q to %s", sent.Get("grant_type"), req.URL)
		}
		parts := strings.Split(sent.Get("assertion"), ".")
		if len(parts) != 3 {
			t.Fatalf("the assertion has %d parts", len(parts))
		}
		var claims struct {
			Iss, Aud, Scope string
			Iat, Exp        int64
		}
		raw, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err == nil {
			err = json.Unmarshal(raw, &claims)
		}
		if err != nil {
			t.Fatal(err)
		}
		if claims.Iss != "robot@example.iam.gserviceaccount.com" || claims.Aud != req.URL.String() || claims.Scope != CloudPlatform {
			t.Errorf("claims %+v", claims)
		}
		if now := time.Now().Unix(); claims.Iat > now || claims.Exp-claims.Iat != 3600 || claims.Exp < now {
			t.Errorf("claims %+v at %d", claims, now)
		}
		signature, err := base64.RawURLEncoding.DecodeString(parts[2])
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		if err := rsa.VerifyPKCS1v15(&testKey().PublicKey, crypto.SHA256, sum[:], signature); err != nil {
			t.Error(err)
		}
		return respond(200, "application/json", good), nil
	}).client()
	src, err := Key([]byte(keyJSON(t, nil)), &KeyOptions{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	token, err := src.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if token.Account() != "robot@example.iam.gserviceaccount.com" {
		t.Errorf("account %q", token.Account())
	}
}

func TestAuthorizedUser(t *testing.T) {
	client := roundTrip(func(req *http.Request) (*http.Response, error) {
		sent := form(t, req)
		if sent.Get("grant_type") != "refresh_token" || sent.Get("refresh_token") != "1//refresh" || req.URL.String() != googleTokenURL {
			t.Errorf("sent %v to %s", sent, req.URL)
		}
		return respond(200, "application/json", good), nil
	}).client()
	src, err := Key([]byte(`{"type":"authorized_user","client_id":"id","client_secret":"s","refresh_token":"1//refresh"}`), &KeyOptions{Client: client})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := src.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestTokenEndpointRefusals(t *testing.T) {
	js := "application/json"
	for name, c := range map[string]struct {
		status     int
		kind, body string
		want       error
	}{
		"revoked key":     {400, js, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`, ErrRefused},
		"foreign client":  {401, js, `{"error":"invalid_client"}`, ErrMisconfigured},
		"bad scope":       {400, js, `{"error":"invalid_scope"}`, ErrMisconfigured},
		"denied":          {403, js, `{"error":"access_denied"}`, ErrRefused},
		"busy":            {400, js, `{"error":"temporarily_unavailable"}`, ErrUnavailable},
		"broken":          {500, js, `{"error":"invalid_grant"}`, ErrUnavailable},
		"proxy":           {502, "text/html", "<html>", ErrUnavailable},
		"captive portal":  {302, "text/html", "<html>", ErrUnavailable},
		"sign-in page":    {200, "text/html", "<html>", ErrUnavailable},
		"wrong address":   {404, "text/html", "<html>", ErrMisconfigured},
		"told to be slow": {429, "", "", ErrUnavailable},
		"repeats secrets": {400, js, `{"error":"invalid_grant","error_description":"no such 1//refresh"}`, ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			client := roundTrip(func(*http.Request) (*http.Response, error) { return respond(c.status, c.kind, c.body), nil }).client()
			src, err := Key([]byte(`{"type":"authorized_user","client_id":"id","refresh_token":"1//refresh"}`), &KeyOptions{Client: client})
			if err != nil {
				t.Fatal(err)
			}
			_, err = src.Fetch(t.Context())
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if strings.Contains(err.Error(), "1//refresh") || strings.Contains(err.Error(), "<html>") {
				t.Errorf("the error repeats what it should not: %v", err)
			}
		})
	}
}

func TestKeysThatAreNone(t *testing.T) {
	for name, text := range map[string]string{
		"empty":             "",
		"not JSON":          "-----BEGIN PRIVATE KEY-----",
		"no type":           "{}",
		"other type":        `{"type":"external_account"}`,
		"no key":            keyJSON(t, map[string]string{"private_key": ""}),
		"not PEM":           keyJSON(t, map[string]string{"private_key": "MIIEvQIBADAN"}),
		"damaged":           keyJSON(t, map[string]string{"private_key": "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n"}),
		"endpoint in clear": keyJSON(t, map[string]string{"token_uri": "http://oauth2.example.com/token"}),
		"endpoint no URL":   keyJSON(t, map[string]string{"token_uri": "::"}),
		"user in endpoint":  keyJSON(t, map[string]string{"token_uri": "https://user:hunter2@example.com/"}),
		"no refresh token":  `{"type":"authorized_user","client_id":"x"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Key([]byte(text), nil)
			if !errors.Is(err, ErrMisconfigured) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "MIIE") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error quotes the key: %v", err)
			}
		})
	}
}
