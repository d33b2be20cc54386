package tidemark_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
	"github.com/tidemark-go/tidemark/credentials"
)

// Secrets that nobody else has, each where only one kind of secret is. PLANTED is in all of them.
const (
	plantedToken   = "ya29.PLANTED-token-of-a-hundred-and-more-characters-as-real-ones-are"
	plantedSecret  = "PLANTED/secret+access+key"
	plantedSession = "PLANTED-session-token"
)

var (
	plantedKey = base64.StdEncoding.EncodeToString([]byte("PLANTED key of an account"))
	plantedSig = base64.StdEncoding.EncodeToString([]byte("PLANTED signature"))
	dataKey    = base64.URLEncoding.EncodeToString([]byte("PLANTED key of 32 bytes exactly."))
	planted    = []string{"PLANTED", plantedKey, plantedSig, url.QueryEscape(plantedSig), dataKey, "UExBTlRF"} // the last is base64 for PLANTE
)

// found names the planted secret that text holds; empty if it holds none.
func found(text string) string {
	for _, secret := range planted {
		if strings.Contains(text, secret) {
			return secret
		}
	}
	return ""
}

// mirror is a server, or a proxy before one, that says no and repeats in its answer everything that it was sent.
type mirror struct {
	status int
	form   string
}

func (m mirror) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	dump, err := httputil.DumpRequest(r, false)
	if err != nil {
		panic(err)
	}
	told := strings.ReplaceAll(string(dump), "\r\n", " ")
	w.Header().Set("X-Debug", told)
	w.Header().Set("WWW-Authenticate", "Bearer "+told)
	var body string
	switch m.form {
	case "json":
		w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		text, err := json.Marshal(map[string]any{"error": map[string]any{"code": m.status, "message": "Refused: " + told,
			"errors": []map[string]string{{"reason": "invalid", "message": told}}}})
		if err != nil {
			panic(err)
		}
		body = string(text)
	case "xml":
		w.Header().Set("Content-Type", "application/xml")
		var text bytes.Buffer
		if err := xml.EscapeText(&text, []byte(told)); err != nil {
			panic(err)
		}
		body = "<?xml version='1.0' encoding='UTF-8'?><Error><Code>Refused</Code><Message>" + text.String() + "</Message><Details>" + text.String() + "</Details></Error>"
	case "text":
		w.Header().Set("Content-Type", "text/plain")
		body = told
	case "page":
		w.Header().Set("Content-Type", "text/html")
		body = "<html><body><h1>Refused</h1><pre>" + html.EscapeString(told) + "</pre></body></html>"
	}
	w.WriteHeader(m.status)
	_, _ = w.Write([]byte(body))
}

// everyWay prints v in all ways that a program might, and what an error wraps, too.
func everyWay(v any) string {
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X"} {
		fmt.Fprintf(&out, verb+"\n", v)
	}
	if text, err := json.Marshal(v); err == nil {
		out.Write(text)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	out.WriteString(panicked(v))
	switch e := v.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			out.WriteString(everyWay(inner))
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			out.WriteString(everyWay(inner))
		}
	}
	return out.String()
}

// panicked is how a panic with v is told by whoever recovers and prints it.
func panicked(v any) (text string) {
	defer func() { text = fmt.Sprintf("%v %+v", recover(), v) }()
	panic(v)
}

// TestServersThatRepeatWhatTheyWereSent: the answer of a server or a proxy gets into errors and logs, where it helps; what was secret
// in the request does not, though the answer has it.
func TestServersThatRepeatWhatTheyWereSent(t *testing.T) {
	for _, v := range []string{"AWS_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT"} {
		t.Setenv(v, "")
	}
	for _, store := range []struct {
		name, url string
		env       map[string]string
	}{
		{"gs", "gs://bucket/p?endpoint=", nil},
		{"s3", "s3://bucket/p?region=us-east-1&endpoint=", map[string]string{
			"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": plantedSecret, "AWS_SESSION_TOKEN": plantedSession}},
		{"azblob with a key", "azblob://container/p?storage_account=account&endpoint=", map[string]string{"AZURE_STORAGE_KEY": plantedKey}},
		{"azblob with a signature", "azblob://container/p?storage_account=account&endpoint=", map[string]string{
			"AZURE_STORAGE_SAS_TOKEN": "sv=2021-12-02&sp=rwdl&sig=" + url.QueryEscape(plantedSig)}},
		{"azblob with a token", "azblob://container/p?storage_account=account&endpoint=", nil},
	} {
		t.Run(store.name, func(t *testing.T) {
			for name, value := range store.env {
				t.Setenv(name, value)
			}
			repeated := 0
			for _, form := range []string{"json", "xml", "text", "page"} {
				for _, status := range []int{307, 400, 401, 403, 404, 412, 500} {
					repeated += askMirror(t, store.url, mirror{status, form})
				}
			}
			if repeated < 20 {
				t.Errorf("of the answers only %d are told in errors: this proves little", repeated)
			}
		})
	}
}

// askMirror returns how many errors tell what the mirror said.
func askMirror(t *testing.T, storeURL string, m mirror) (repeated int) {
	t.Helper()
	server := httptest.NewServer(m)
	defer server.Close()
	var log lockedLog
	opts := &tidemark.Options{Credentials: credentials.Static(plantedToken, "me@example.com"), PrivateCredentials: true, EncryptionKeyURL: "base64key://" + dataKey}
	opts.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store, err := tidemark.Open(t.Context(), storeURL+url.QueryEscape(server.URL), opts)
	if err != nil {
		t.Fatalf("%s", err)
	}
	defer func() { _ = store.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond) // some of it would be repeated for a minute
	defer cancel()
	job, err := store.Job("j")
	if err != nil {
		t.Fatal(err)
	}
	_, latest := job.Latest(ctx)
	_, acquired := store.Acquire(ctx, "j", nil)
	_, saved := store.Save(ctx, "j", func(w *checkpoint.Writer) error { return w.Add("a", strings.NewReader("1")) }, nil)
	_, verified := job.Verify(ctx, nil)
	errs := []error{latest, acquired, saved, verified}
	for _, err := range store.Jobs(ctx) {
		errs = append(errs, err)
	}
	for i, err := range errs {
		if err == nil {
			t.Errorf("HTTP %d in %s: operation %d did not fail", m.status, m.form, i)
			continue
		}
		if strings.Contains(err.Error(), "Refused: ") {
			repeated++
		}
		if secret := found(everyWay(err)); secret != "" {
			t.Errorf("HTTP %d in %s: %q is in what can be made of the error of operation %d: %s", m.status, m.form, secret, i, err)
		}
	}
	for what, text := range map[string]string{"log": log.String(), "store": everyWay(store), "options": everyWay(opts), "statistics": everyWay(store.Credentials())} {
		if secret := found(text); secret != "" {
			t.Errorf("HTTP %d in %s: %q is in the %s", m.status, m.form, secret, what)
		}
	}
	return repeated
}

type lockedLog struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestOptionsDoNotPrintTheKey: options are what programs print of themselves when they start.
func TestOptionsDoNotPrintTheKey(t *testing.T) {
	opts := tidemark.Options{EncryptionKeyURL: "base64key://" + plantedKey, Credentials: credentials.Static(plantedToken, "me")}
	for name, v := range map[string]any{"options": opts, "pointer": &opts, "inside": struct{ O tidemark.Options }{opts}, "list": []*tidemark.Options{&opts}} {
		if secret := found(everyWay(v)); secret != "" {
			t.Errorf("%s: %q is in what can be made of them: %+v", name, secret, v)
		}
	}
	if text := fmt.Sprintf("%+v", opts); !strings.Contains(text, "EncryptionKeyURL:[redacted]") || !strings.Contains(text, "PrivateCredentials:false") {
		t.Errorf("the options print as %s", text)
	}
}
