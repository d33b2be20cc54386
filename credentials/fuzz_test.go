package credentials

import (
	"encoding/json"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// planted is what no message may repeat.
const planted = "ya29.planted-secret"

// FuzzTokenReply reads what a metadata server or a token endpoint answers. A token that is taken lives for a time that can be withdrawn in time, and can stand in a header.
func FuzzTokenReply(f *testing.F) {
	for _, seed := range []string{
		`{"access_token":"` + planted + `","expires_in":3599,"token_type":"Bearer"}`, `{"access_token":"a","expires_in":"3599"}`, `{"access_token":"a","expires_in":1e3}`,
		`{"access_token":"a b","expires_in":10}`, `{"access_token":"a"}`, `{"expires_in":-1}`, `<html>`, ``, `[]`, `{"access_token":"a","expires_in":99999999999999999999}`, "\xef\xbb\xbf{}",
		`{"error":"invalid_grant","error_description":"no"}`,
	} {
		f.Add([]byte(seed), "application/json", "120")
	}
	f.Add([]byte(`{}`), "text/html; charset=utf-8", "Wed, 21 Oct 2026 07:28:00 GMT")
	f.Fuzz(func(t *testing.T, body []byte, kind, after string) {
		r := &reply{status: http.StatusOK, header: http.Header{"Content-Type": {kind}, "Retry-After": {after}}, body: body, sent: time.Now()}
		token, err := r.token("an account")
		checkToken(t, token, err)
		if d := r.retryAfter(); d < 0 {
			t.Errorf("Retry-After %q is %v", after, d)
		}
	})
}

// checkToken holds what a token satisfies whoever granted it.
func checkToken(t *testing.T, token *Token, err error) {
	t.Helper()
	if err != nil {
		if token != nil || strings.Contains(err.Error(), planted) {
			t.Errorf("%v and %v", token, err)
		}
		return
	}
	if token.Value() == "" || strings.ContainsAny(token.Value(), " \r\n\x00") {
		t.Errorf("the token %q cannot stand in a header", token.Value())
	}
	if life := time.Until(token.deadline); !token.lasting() && life > maxLife {
		t.Errorf("it lives for %v", life)
	}
}

// FuzzTokenText reads token files and what commands print.
func FuzzTokenText(f *testing.F) {
	for _, seed := range []string{
		planted, " a\n", "{", `{"access_token":"` + planted + `","expiry":"2099-01-02T15:04:05Z"}`, `{"access_token":"a","expires_in":60}`, `{"access_token":"a","expiry":"0001-01-01T00:00:00Z"}`,
		`{"access_token":"a","expires_in":9223372036854775807}`, `{"access_token":"a","token_type":"MAC"}`, "a\tb",
	} {
		f.Add([]byte(seed), int64(0))
	}
	f.Fuzz(func(t *testing.T, text []byte, ago int64) {
		token, err := readToken(text, "an account", time.Now().Add(-time.Duration(ago)))
		checkToken(t, token, err)
	})
}

// FuzzIdentityToken reads what an identity token says of its life.
func FuzzIdentityToken(f *testing.F) {
	for _, seed := range []string{".eyJpYXQiOi05MjIzMzcyMDM0ODA0NzA0ODA0LCJleHAiOjY0NzA0NzA0MzB9.", "a.eyJpYXQiOjEsImV4cCI6Mn0.c", "a.e30.c", "..", "", "a.eyJpYXQiOi05MjIzMzcyMDM2ODU0Nzc1ODA4LCJleHAiOjkyMjMzNzIwMzY4NTQ3NzU4MDd9.c"} {
		f.Add(seed, "")
	}
	f.Fuzz(func(t *testing.T, token, date string) {
		r := &reply{header: http.Header{"Date": {date}}, sent: time.Now()}
		if life, err := r.stated(token); err == nil && life > maxLife {
			t.Errorf("it lives for %v", life)
		}
	})
}

// FuzzKeyFile reads credentials files of every type: what is refused is a matter of configuration, and nothing secret is in the message; a source that is made
// of one says nothing of it either. Nothing is asked, read or run.
func FuzzKeyFile(f *testing.F) {
	for _, seed := range []string{
		`{}`, `[]`, `{"type":"x"}`,
		`{"type":"service_account","client_email":"a@b","private_key":"-----BEGIN PRIVATE KEY-----\n` + planted + `\n-----END PRIVATE KEY-----","token_uri":"https://oauth2.googleapis.com/token"}`,
		`{"type":"authorized_user","client_id":"a","client_secret":"` + planted + `","refresh_token":"` + planted + `"}`,
		`{"type":"external_account","audience":"//iam","subject_token_type":"urn:ietf:params:oauth:token-type:jwt","token_url":"https://sts.googleapis.com/v1/token","credential_source":{"file":"/x"}}`,
		`{"type":"external_account","audience":"a","subject_token_type":"urn:ietf:params:aws:token-type:aws4_request","credential_source":{"environment_id":"aws1","regional_cred_verification_url":"https://sts.{region}.amazonaws.com"}}`,
		`{"type":"external_account","audience":"a","subject_token_type":"b","credential_source":{"executable":{"command":"/bin/false ` + planted + `","timeout_millis":5000}}}`,
		`{"type":"external_account","audience":"a","subject_token_type":"b","credential_source":{"url":"http://169.254.169.254/x","headers":{"a":"` + planted + `"},"format":{"type":"json","subject_token_field_name":"t"}}}`,
		`{"type":"external_account_authorized_user","token_url":"https://sts.googleapis.com/v1/oauthtoken","client_id":"a","client_secret":"b","refresh_token":"c"}`,
		`{"type":"impersonated_service_account","service_account_impersonation_url":"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b:generateAccessToken","source_credentials":{"type":"authorized_user","client_id":"a","client_secret":"b","refresh_token":"c"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		src, err := Key(text, &KeyOptions{AllowExecutables: true})
		runtime.ReadMemStats(&after)
		if got, limit := after.TotalAlloc-before.TotalAlloc, uint64(4<<20+256*len(text)); got > limit {
			t.Errorf("allocated %d bytes for %d", got, len(text))
		}
		if err == nil {
			if src == nil {
				t.Error("neither a source nor an error")
			}
			return
		}
		var e *Error
		if !errors.As(err, &e) || e.Kind != Misconfigured || strings.Contains(err.Error(), planted) {
			t.Errorf("%v", err)
		}
	})
}

// FuzzExecutableAnswer reads what a program of an external account prints.
func FuzzExecutableAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:jwt","id_token":"` + planted + `","expiration_time":4102444800}`,
		`{"version":1,"success":false,"code":"1","message":"no"}`, `{"version":2}`, `{}`, `null`, `{"version":1,"success":true,"token_type":"urn:ietf:params:oauth:token-type:saml2","saml_response":"x"}`,
	} {
		f.Add([]byte(seed), "")
	}
	f.Fuzz(func(t *testing.T, text []byte, file string) {
		x := &executable{outputFile: file}
		token, err := x.read(text, time.Now())
		if (err == nil) == (token == "") {
			t.Errorf("%q and %v", token, err)
		}
		if err != nil && strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("the error plays with the terminal: %q", err)
		}
	})
}

// TestNestedKeyFile: a file inside of a file inside of a file costs its length, not the square of it.
func TestNestedKeyFile(t *testing.T) {
	inner := `{"type":"authorized_user","client_id":"a","client_secret":"b","refresh_token":"c"}`
	for range 3000 {
		inner = `{"type":"impersonated_service_account","service_account_impersonation_url":"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@b:generateAccessToken","source_credentials":` + inner + `}`
	}
	if !json.Valid([]byte(inner)) {
		t.Fatal("the file is no JSON")
	}
	start := time.Now()
	_, err := Key([]byte(inner), nil)
	if took := time.Since(start); err == nil || took > 2*time.Second {
		t.Errorf("%v after %v", err, took)
	}
}
