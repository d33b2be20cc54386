package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// verbArgs are the arguments of every verb that ends by itself: STORE and DIR stand for a store and a directory.
var verbArgs = map[string][][]string{
	"save":       {{"DIR", "STORE", "--job", "j", "--tag", "t"}},
	"restore":    {{"STORE", "OUT", "--job", "j"}},
	"jobs":       {{"STORE"}},
	"ls":         {{"STORE", "--job", "j"}, {"STORE"}},
	"show":       {{"STORE", "--job", "j"}},
	"cat":        {{"STORE", "latest", "offsets", "--job", "j"}},
	"verify":     {{"STORE", "--job", "j", "--data"}, {"STORE", "--job", "j"}},
	"repair":     {{"STORE", "--job", "j"}},
	"tag":        {{"STORE", "latest", "u", "--job", "j"}},
	"untag":      {{"STORE", "u", "--job", "j"}},
	"retain":     {{"STORE", "--keep-last", "1", "--job", "j"}},
	"gc":         {{"STORE", "--job", "j"}, {"STORE", "--dry-run"}},
	"token":      {{}},
	"doctor":     {{"STORE"}, {}},
	"version":    {{}},
	"completion": {{"bash"}},
	"help":       {{"save"}},
	"metadata":   {{"serve", "--listen", "127.0.0.1:0", "--upstream", "http://me:PLANTED@127.0.0.1:1"}},
	"bench":      {{"save", "STORE"}},
	// These take no store and no secret.
	"emulator": {},
	"demo":     {},
}

// TestNoVerbTellsASecret gives every verb, with --json and without, stores whose credentials are planted, where server and proxy repeat
// the whole request in what they answer.
func TestNoVerbTellsASecret(t *testing.T) {
	const secret = "PLANTED"
	var (
		key   = base64.StdEncoding.EncodeToString([]byte("PLANTED key of an account"))
		data  = base64.URLEncoding.EncodeToString([]byte("PLANTED key of 32 bytes exactly."))
		hides = []string{secret, key, data, base64.StdEncoding.EncodeToString([]byte("client:PLANTED"))}
	)
	root := newRootCommand(&app{})
	root.InitDefaultCompletionCmd()
	for _, verb := range root.Commands() {
		if verbArgs[verb.Name()] == nil {
			t.Errorf("the verb %s is not looked at", verb.Name())
		}
	}

	server := httptest.NewServer(http.HandlerFunc(tokenAndEcho))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "credentials.json")
	user, err := json.Marshal(map[string]string{"type": "authorized_user", "client_id": "client", "client_secret": secret, "refresh_token": secret,
		"token_uri": server.URL + "/token"})
	if err == nil {
		err = os.WriteFile(file, user, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	local := t.TempDir()
	stateDir(t, filepath.Join(local, "state"))
	for name, value := range map[string]string{
		"GOOGLE_APPLICATION_CREDENTIALS": file, "GCE_METADATA_HOST": strings.TrimPrefix(server.URL, "http://"),
		"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": secret, "AWS_PROFILE": "", "AWS_CONFIG_FILE": "",
		"AZURE_STORAGE_KEY": "", "AZURE_STORAGE_SAS_TOKEN": "sv=2021-12-02&sp=rwdl&sig=" + secret, "AZURE_STORAGE_ACCOUNT": "account",
		"TIDEMARK_KEY_URL": "base64key://" + data, "TIDEMARK_STORE": "",
	} {
		t.Setenv(name, value)
	}
	at := url.QueryEscape(server.URL)
	for _, store := range []string{
		"file://" + filepath.Join(local, "store"),
		"gs://bucket/p?endpoint=" + at,
		"s3://bucket/p?region=us-east-1&endpoint=" + at,
		"azblob://container/p?endpoint=" + at,
		// Secrets where none belongs.
		"gs://me:PLANTED@bucket/p",
		"gs://bucket/p?endpoint=" + url.QueryEscape(strings.Replace(server.URL, "http://", "http://me:PLANTED@", 1)),
		"gs://bucket/p?endpoint=" + url.QueryEscape(server.URL+"/?token=PLANTED"),
		"gs://bucket/p?token=PLANTED",
		"s3://id:PLANTED@bucket/p?region=us-east-1",
		"azblob://container/p?sig=PLANTED",
		"https://account.blob.core.windows.net/container?sig=PLANTED",
		"gs://me:PLANTED@bucket\x7f/p",
	} {
		for verb, calls := range verbArgs {
			for _, call := range calls {
				args := []string{verb, "--timeout", "100ms", "--verbose"}
				for _, arg := range call {
					switch arg {
					case "STORE":
						arg = store
					case "DIR":
						arg = filepath.Join(local, "state")
					case "OUT":
						arg = filepath.Join(local, "out")
					}
					args = append(args, arg)
				}
				if !slices.Contains(call, "STORE") && !strings.HasPrefix(store, "gs://bucket/p?endpoint="+at) {
					continue // nothing changes with the store
				}
				repeated := false
				for _, form := range [][]string{nil, {"--json"}} {
					code, stdout, stderr := tidemarkRun(t, slices.Concat(args, form)...)
					repeated = repeated || strings.Contains(stdout+stderr, "an echo of")
					for _, hidden := range hides {
						if strings.Contains(stdout+stderr, hidden) {
							t.Errorf("tidemark %s %s: exit code %d, and %q is in what it printed:\n%.400s\n%.800s", verb, strings.Join(form, ""), code, hidden, stdout, stderr)
						}
					}
				}
				if strings.HasSuffix(store, at) && slices.Contains(call, "STORE") && verb != "bench" && !repeated {
					t.Errorf("tidemark %s %s: the server's answer is not in what it printed, so this proves nothing", verb, store)
				}
			}
		}
	}
}

// tokenAndEcho grants a token, and answers all else with a refusal that repeats what was asked.
func tokenAndEcho(w http.ResponseWriter, r *http.Request) {
	dump, err := httputil.DumpRequest(r, true)
	if err != nil {
		panic(err)
	}
	if r.URL.Path == "/token" {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, `{"access_token":"ya29.PLANTED","token_type":"Bearer","expires_in":3600}`)
		return
	}
	// What may be cut off comes last.
	message := strings.Join(strings.Fields("an echo of "+r.Header.Get("Authorization")+" "+r.Header.Get("X-Amz-Security-Token")+" "+r.URL.RawQuery+" "+string(dump)), " ")
	if r.Header.Get("X-Amz-Date") != "" || r.Header.Get("X-Ms-Version") != "" {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, "<Error><Code>Refused</Code><Message>%s</Message></Error>", strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(message))
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusForbidden)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"code": 403, "message": message}})
}

// TestNamesDoNotCommandTheTerminal: whoever can write the state chooses names, and a terminal obeys what is in them.
func TestNamesDoNotCommandTheTerminal(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"red\x1b[31m\x07", "two\nlines", "C1 \u009b2J", "backwards \u202egnp", "no UTF-8 \x9b2J", "Zähler …"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store := "file://" + t.TempDir()
	mustRun(t, "save", dir, store, "--job", "j")
	mustRun(t, "restore", store, filepath.Join(t.TempDir(), "out"), "--job", "j", "--part", "red\x1b*")
	packs, err := filepath.Glob(filepath.Join(strings.TrimPrefix(store, "file://"), "j", "manifests", "*"))
	if err != nil || len(packs) == 0 {
		t.Fatalf("manifests: %q, %v", packs, err)
	}
	shown := mustRun(t, "show", store, "--job", "j")
	for _, want := range []string{`red\x1b[31m\a `, `two\nlines `, `C1 \u009b2J `, `backwards \u202egnp `, `no UTF-8 \x9b2J `, "Zähler … "} {
		if !strings.Contains(shown, want) {
			t.Errorf("show prints no %q:\n%s", want, shown)
		}
	}
	if err := os.Truncate(packs[0], 100); err != nil { // what is small lies inside of its manifest
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"show", store, "--job", "j"}, {"verify", store, "--job", "j", "--data"}, {"restore", store, dir, "--job", "j"}, {"cat", store, "latest", "red\x1b[31m\x07", "--job", "j"},
		{"ls", store + "\x1b[2J"}, {"jobs", store, "--job\x1b[2J"}, {"\x1b[2J"}, {"tag", store, "latest", "\x1b[2J", "--job", "j"}, {"ls", store, "--job", "\x1b[2J"},
		{"save", dir + "\x1b[2J", store, "--job", "j"}, {"retain", store, "--job", "j", "--keep-last", "\x1b[2J"}, {"token", "\x1b[2J"},
	} {
		_, stdout, stderr := tidemarkRun(t, args...)
		for _, r := range stdout + stderr + shown {
			if r != '\n' && unprintable(r) {
				t.Errorf("tidemark %q prints %q:\n%q\n%q", args, r, stdout, stderr)
				break
			}
		}
	}
}
