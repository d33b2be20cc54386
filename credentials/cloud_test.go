package credentials_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/credentials"
	"github.com/tidemark-go/tidemark/emulator"
)

const (
	pool      = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x"
	principal = "principal://iam.googleapis.com/projects/1/subject/robot"
	target    = "target@emulator-project.iam.gserviceaccount.com"
	foreign   = "foreign-token-PLANTED"
	jwtType   = "urn:ietf:params:oauth:token-type:jwt"
	awsType   = "urn:ietf:params:aws:token-type:aws4_request"
	readOnly  = "https://www.googleapis.com/auth/devstorage.read_only"
)

// federated is a cloud that trusts one foreign token.
func federated(t *testing.T) *emulator.Cloud {
	t.Helper()
	cloud := emulator.Start(t, nil)
	cloud.Federate(pool, func(kind, token string) (string, error) {
		if kind == jwtType && token == foreign {
			return principal, nil
		}
		return "", fmt.Errorf("the token %s is not trusted", token)
	})
	return cloud
}

type object = map[string]any

// external is a credentials file of workload identity federation.
func external(cloud *emulator.Cloud, source object, more ...object) []byte {
	file := object{"type": "external_account", "audience": pool, "subject_token_type": jwtType,
		"token_url": cloud.STSURL(), "credential_source": source}
	for _, m := range more {
		for k, v := range m {
			file[k] = v
		}
	}
	return encode(file)
}

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}

func put(t *testing.T, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// script is a program that does what the lines say.
func script(t *testing.T, lines string) string {
	t.Helper()
	return put(t, "program", "#!/bin/sh\n"+lines+"\n", 0o700)
}

func mustKey(t *testing.T, text []byte, o *credentials.KeyOptions) credentials.Source {
	t.Helper()
	src, err := credentials.Key(text, o)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func mustSource(t *testing.T) func(credentials.Source, error) credentials.Source {
	return func(src credentials.Source, err error) credentials.Source {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return src
	}
}

// fetch gets a token from the source, and what the cloud knows of it.
func fetch(t *testing.T, cloud *emulator.Cloud, src credentials.Source) (*credentials.Token, emulator.TokenInfo) {
	t.Helper()
	token, err := src.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	info, err := cloud.Issuer().Info(token.Value())
	if err != nil {
		t.Fatal(err)
	}
	return token, info
}

func TestExternalAccount(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "aws-secret-PLANTED")
	t.Setenv("AWS_REGION", "eu-west-1")
	answer := string(encode(object{"version": 1, "success": true, "token_type": jwtType, "id_token": foreign}))
	cached := string(encode(object{"version": 1, "success": true, "token_type": jwtType, "id_token": foreign,
		"expiration_time": time.Now().Add(time.Hour).Unix()}))
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata") != "True" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(encode(object{"access_token": foreign}))
	}))
	defer provider.Close()
	for name, source := range map[string]object{
		"file":      {"file": put(t, "token", foreign+"\n", 0o600)},
		"JSON file": {"file": put(t, "token", `{"t":"`+foreign+`"}`, 0o600), "format": object{"type": "json", "subject_token_field_name": "t"}},
		"URL": {"url": provider.URL, "headers": object{"Metadata": "True"},
			"format": object{"type": "json", "subject_token_field_name": "access_token"}},
		"executable": {"executable": object{"command": script(t,
			`[ "$GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE" = "`+pool+`" ] && echo '`+answer+`'; echo PLANTED >&2`)}},
		"output file": {"executable": object{"command": script(t, "exit 1"), "output_file": put(t, "out", cached, 0o600)}},
		"AWS":         {"environment_id": "aws1", "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15"},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := federated(t)
			more := object{}
			if name == "AWS" {
				more["subject_token_type"] = awsType
				cloud.Federate(pool, checkAWS)
			}
			file := put(t, "credentials.json", string(external(cloud, source, more)), 0o600)
			env := map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": file, "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES": "1"}
			found, err := credentials.Find(t.Context(), &credentials.FindOptions{
				Scopes:    []string{readOnly},
				LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
			})
			if err != nil {
				t.Fatal(err)
			}
			token, info := fetch(t, cloud, found.Source)
			if info.Account != principal || !slices.Equal(info.Scopes, []string{readOnly}) {
				t.Errorf("the token is for %s with %v", info.Account, info.Scopes)
			}
			if d := token.Expiry().Sub(info.Expiry); d > 0 || d < -2*time.Second {
				t.Errorf("the expiry differs by %v from the cloud's", d)
			}
			if cloud.OAuthRequests() != 1 || strings.Contains(found.Source.Identity(), "PLANTED") {
				t.Errorf("%d requests for one token of %s", cloud.OAuthRequests(), found.Source.Identity())
			}
		})
	}
}

// checkAWS looks at the request to AWS that the client signed, as Google would send it there.
func checkAWS(kind, token string) (string, error) {
	text, err := url.QueryUnescape(token)
	if err != nil {
		return "", err
	}
	var signed struct {
		URL     string
		Headers []struct{ Key, Value string }
	}
	if err := json.Unmarshal([]byte(text), &signed); err != nil {
		return "", err
	}
	headers := map[string]string{}
	for _, h := range signed.Headers {
		headers[strings.ToLower(h.Key)] = h.Value
	}
	if kind != awsType || !strings.Contains(signed.URL, "eu-west-1") || headers["x-goog-cloud-target-resource"] != pool ||
		!strings.HasPrefix(headers["authorization"], "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/") {
		return "", errors.New("the signed request is wrong")
	}
	return principal, nil
}

// On a machine of AWS the keys come from its metadata server, by a session of version 2.
func TestExternalAccountOnEC2(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"} {
		t.Setenv(name, "")
	}
	machine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session := r.Header.Get("X-Aws-Ec2-Metadata-Token") == "session"
		switch {
		case r.URL.Path == "/token" && r.Method == http.MethodPut && r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds") != "":
			_, _ = w.Write([]byte("session"))
		case session && r.URL.Path == "/zone":
			_, _ = w.Write([]byte("eu-west-1b"))
		case session && r.URL.Path == "/role":
			_, _ = w.Write([]byte("robot"))
		case session && r.URL.Path == "/role/robot":
			_, _ = w.Write(encode(object{"AccessKeyId": "AKIDEXAMPLE", "SecretAccessKey": "PLANTED", "Token": "PLANTED"}))
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer machine.Close()
	cloud := emulator.Start(t, nil)
	cloud.Federate(pool, checkAWS)
	source := object{"environment_id": "aws1", "region_url": machine.URL + "/zone", "url": machine.URL + "/role",
		"imdsv2_session_token_url": machine.URL + "/token"}
	aws := object{"subject_token_type": awsType}
	if _, info := fetch(t, cloud, mustKey(t, external(cloud, source, aws), nil)); info.Account != principal {
		t.Errorf("the token is for %s", info.Account)
	}
	delete(source, "imdsv2_session_token_url")
	_, err := mustKey(t, external(cloud, source, aws), nil).Fetch(t.Context())
	if !errors.Is(err, credentials.ErrRefused) || !strings.Contains(err.Error(), "/role: HTTP 401") {
		t.Errorf("without a session: %v", err)
	}
}

// A file that was rotated is read at the next fetch, and impersonation goes on top.
func TestExternalAccountImpersonates(t *testing.T) {
	cloud := federated(t)
	path := put(t, "token", "old", 0o600)
	src := mustKey(t, external(cloud, object{"file": path}, object{
		"service_account_impersonation_url": cloud.ImpersonationURL(target),
		"service_account_impersonation":     object{"token_lifetime_seconds": 600},
	}), &credentials.KeyOptions{Scopes: []string{readOnly}})
	if account := credentials.AccountOf(t.Context(), src); account != target {
		t.Errorf("the account is %q", account)
	}
	if _, err := src.Fetch(t.Context()); !errors.Is(err, credentials.ErrRefused) || strings.Contains(err.Error(), "old") {
		t.Errorf("with a foreign token that is not trusted: %v", err)
	}
	if err := os.WriteFile(path, []byte(foreign), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := src.Fetch(t.Context()); !errors.Is(err, credentials.ErrRefused) || !strings.Contains(err.Error(), "roles/iam.serviceAccountTokenCreator") {
		t.Errorf("without the permission to impersonate: %v", err)
	}
	cloud.LetImpersonate(principal, target)
	token, info := fetch(t, cloud, src)
	if info.Account != target || token.Account() != target || !slices.Equal(info.Scopes, []string{readOnly}) {
		t.Errorf("the token is for %s with %v", info.Account, info.Scopes)
	}
	if left := time.Until(token.Expiry()); left > 10*time.Minute || left < 9*time.Minute {
		t.Errorf("the token lives %v, not 10 min", left)
	}
}

func TestExternalAccountFailures(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/page":
			_, _ = w.Write([]byte("<html>sign in, PLANTED"))
		case "/denied":
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte("PLANTED"))
		case "/busy":
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/moved":
			http.Redirect(w, r, "/page", http.StatusFound)
		}
	}))
	defer page.Close()
	good := object{"file": put(t, "token", foreign, 0o600)}
	run := func(lines string) object { return object{"executable": object{"command": script(t, lines)}} }
	status := func(code int) []emulator.Fault {
		return []emulator.Fault{{Then: emulator.Then{Effect: emulator.EffectStatus, Status: code, RetryAfter: 7 * time.Second}}}
	}
	for name, c := range map[string]struct {
		source object
		faults []emulator.Fault
		want   error
		says   string
	}{
		"no file":            {object{"file": "/does/not/exist"}, nil, credentials.ErrMisconfigured, "/does/not/exist"},
		"empty file":         {object{"file": put(t, "t", " \n", 0o600)}, nil, credentials.ErrMisconfigured, "holds no token"},
		"field missing":      {object{"file": put(t, "t", `{"PLANTED":1}`, 0o600), "format": object{"type": "json", "subject_token_field_name": "x"}}, nil, credentials.ErrMisconfigured, "field_name"},
		"not trusted":        {object{"file": put(t, "t", "PLANTED", 0o600)}, nil, credentials.ErrRefused, "[redacted] is not trusted"},
		"sign-in page":       {object{"url": page.URL + "/page"}, nil, credentials.ErrUnavailable, "proxy"},
		"redirect":           {object{"url": page.URL + "/moved"}, nil, credentials.ErrUnavailable, "302"},
		"provider denies":    {object{"url": page.URL + "/denied?PLANTED"}, nil, credentials.ErrRefused, "403"},
		"provider busy":      {object{"url": page.URL + "/busy"}, nil, credentials.ErrUnavailable, "Service Unavailable"},
		"nobody there":       {object{"url": "http://127.0.0.1:1/"}, nil, credentials.ErrUnavailable, "refused"},
		"exit code":          {run("echo PLANTED >&2; exit 3"), nil, credentials.ErrUnavailable, "exit code 3"},
		"no JSON":            {run("echo PLANTED"), nil, credentials.ErrUnavailable, "not a JSON"},
		"says it failed":     {run(`echo '{"version":1,"success":false,"code":"401","message":"log in again"}'`), nil, credentials.ErrUnavailable, "401 log in again"},
		"floods":             {run("while echo PLANTED; do :; done"), nil, credentials.ErrUnavailable, "more than"},
		"no program":         {object{"executable": object{"command": "/does/not/exist"}}, nil, credentials.ErrMisconfigured, "no such file"},
		"exchange is down":   {good, status(503), credentials.ErrUnavailable, "Service Unavailable"},
		"exchange throttles": {good, status(429), credentials.ErrUnavailable, "/v1/token"},
		"a page instead":     {good, []emulator.Fault{{Then: emulator.Then{Effect: emulator.EffectHTML, Status: 200}}}, credentials.ErrUnavailable, "proxy"},
		"broken answer":      {good, []emulator.Fault{{Then: emulator.Then{Effect: emulator.EffectTruncate, Bytes: 40}}}, credentials.ErrUnavailable, "not valid JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			cloud := federated(t)
			src := mustKey(t, external(cloud, c.source), &credentials.KeyOptions{AllowExecutables: true})
			if err := cloud.SetFaults(c.faults...); err != nil {
				t.Fatal(err)
			}
			_, err := src.Fetch(t.Context())
			if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Fatalf("got %v, want %v that says %q", err, c.want, c.says)
			}
			if strings.Contains(err.Error(), "PLANTED") || strings.Contains(err.Error(), "\n") || len(err.Error()) > 700 {
				t.Errorf("the error quotes an answer: %v", err)
			}
			if e, _ := errors.AsType[*credentials.Error](err); strings.Contains(err.Error(), "Service Unavailable") && e.RetryAfter != 7*time.Second {
				t.Errorf("Retry-After is %v", e.RetryAfter)
			}
		})
	}
}

// Files that make no source, each with the reason.
func TestExternalAccountsThatAreNone(t *testing.T) {
	cloud := federated(t)
	file := object{"file": "/token"}
	for name, c := range map[string]struct {
		text []byte
		says string
	}{
		"no source":       {external(cloud, nil), "credential_source"},
		"empty source":    {external(cloud, object{}), "names no file"},
		"no audience":     {external(cloud, file, object{"audience": ""}), "Audience"},
		"no type":         {external(cloud, file, object{"subject_token_type": ""}), "Subject token type"},
		"in clear":        {external(cloud, file, object{"token_url": "http://sts.example.com/"}), "cannot be trusted"},
		"from in clear":   {external(cloud, object{"url": "http://tokens.example.com/"}), "by https"},
		"not allowed":     {external(cloud, object{"executable": object{"command": "/bin/true"}}), "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES=1"},
		"impersonates":    {external(cloud, file, object{"service_account_impersonation_url": "https://example.com/x"}), "generateAccessToken"},
		"life":            {external(cloud, file, object{"service_account_impersonation_url": cloud.ImpersonationURL(target), "service_account_impersonation": object{"token_lifetime_seconds": 90000}}), "25h"},
		"no base":         {encode(object{"type": "impersonated_service_account", "service_account_impersonation_url": cloud.ImpersonationURL(target)}), "source_credentials"},
		"base is nothing": {encode(object{"type": "impersonated_service_account", "service_account_impersonation_url": cloud.ImpersonationURL(target), "source_credentials": object{"type": "x"}}), "source_credentials: its type"},
		"half a login":    {encode(object{"type": "external_account_authorized_user", "client_id": "x"}), "refresh_token"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := credentials.Key(c.text, nil)
			if !errors.Is(err, credentials.ErrMisconfigured) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want one that says %q", err, c.says)
			}
		})
	}
}

// The refresh token of a workforce login is replaced with each use.
func TestWorkforceLogin(t *testing.T) {
	cloud := emulator.Start(t, nil)
	src := mustKey(t, cloud.WorkforceLogin(), nil)
	id := src.Identity()
	for range 3 {
		fetch(t, cloud, src)
	}
	if src.Identity() != id {
		t.Error("the identity changes with the refresh token")
	}
	var file object
	if err := json.Unmarshal(cloud.WorkforceLogin(), &file); err != nil {
		t.Fatal(err)
	}
	file["refresh_token"] = "PLANTED"
	_, err := mustKey(t, encode(file), nil).Fetch(t.Context())
	if !errors.Is(err, credentials.ErrRefused) || !strings.Contains(err.Error(), "log in again") || strings.Contains(err.Error(), "PLANTED") {
		t.Errorf("got %v", err)
	}
}
