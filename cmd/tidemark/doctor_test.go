package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// onlyMetadata hides all credentials of this machine but the metadata server's.
func onlyMetadata(t *testing.T, host string) {
	t.Helper()
	for _, name := range []string{
		"GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST",
		"CLOUDSDK_CONFIG", "TIDEMARK_STORE", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy",
	} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir())
	t.Setenv("GCE_METADATA_HOST", host)
}

// examine runs doctor --json and returns the document and every check that is not fine, as name=severity.
func examine(t *testing.T, exit int, args ...string) (examination, []string) {
	t.Helper()
	code, stdout, stderr := tidemarkRun(t, append([]string{"doctor", "--json"}, args...)...)
	if code != exit {
		t.Errorf("exit code %d, want %d\n%s%s", code, exit, stdout, stderr)
	}
	if strings.Contains(stdout+stderr, "ya29.") || strings.Contains(stdout+stderr, "PASSW0RD") {
		t.Errorf("a secret is in the output:\n%s%s", stdout, stderr)
	}
	var doc examination
	if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	var found []string
	all, warnings := true, 0
	for _, c := range doc.Checks {
		all = all && c.OK
		if c.Severity == warning {
			warnings++
		}
		if c.Severity != fine {
			found = append(found, c.Name+"="+string(c.Severity))
		}
		if (c.Severity == warning || c.Severity == failure) && c.Hint == "" || c.Detail == "" {
			t.Errorf("%s has no remedy or no detail: %+v", c.Name, c)
		}
	}
	if doc.OK != all || doc.OK != (code == exitDone) || doc.Warnings != warnings {
		t.Errorf("ok is %t and warnings %d, which the checks contradict: %s", doc.OK, doc.Warnings, stdout)
	}
	return doc, found
}

func (e *examination) text(name string) string {
	for _, c := range e.Checks {
		if c.Name == name {
			return c.Detail + "\n" + c.Hint
		}
	}
	return ""
}

func age(days int) *int { return &days }

func TestDoctor(t *testing.T) {
	refuse := func(permission string) *emulator.StorageOptions {
		return &emulator.StorageOptions{Forbid: func(method, _, object string) (string, bool) {
			needed := map[string]string{"POST": "storage.objects.create", "DELETE": "storage.objects.delete", "GET": "storage.objects.get"}[method]
			if method == "GET" && object == "" {
				needed = "listing or settings"
			}
			return "", permission == "all" || needed == permission
		}}
	}
	settings := func(s emulator.BucketSettings) *emulator.StorageOptions { return &emulator.StorageOptions{Bucket: s} }
	lifecycle := func(action string, c emulator.LifecycleCondition) *emulator.StorageOptions {
		return settings(emulator.BucketSettings{Lifecycle: []emulator.LifecycleRule{{Action: emulator.LifecycleAction{Type: action, StorageClass: "COLDLINE"}, Condition: c}}})
	}
	fault := func(server, path string, then emulator.Then) []emulator.Fault {
		return []emulator.Fault{{Match: emulator.Match{Server: server, Path: path}, Then: then}}
	}
	status := func(code int) emulator.Then { return emulator.Then{Effect: emulator.EffectStatus, Status: code} }
	const account = "tidemark@emulator-project.iam.gserviceaccount.com"
	no := false
	for _, c := range []struct {
		name     string
		metadata emulator.MetadataOptions
		storage  *emulator.StorageOptions
		faults   []emulator.Fault
		env      map[string]string
		store    string // "gs" stands for the cloud's own
		args     []string
		exit     int
		want     []string // what is not fine
		check    string   // the one that
		says     []string // says this
	}{
		{name: "healthy", store: "gs", check: "account", says: []string{account}},
		{name: "healthy, credentials alone"},

		// The metadata server.
		{name: "metadata down", env: map[string]string{"GCE_METADATA_HOST": "127.0.0.1:1"}, store: "gs", args: []string{"--timeout", "600ms"}, exit: exitUnavailable,
			want: []string{"metadata-latency=warning", "token=error", "store=skipped"}, check: "token", says: []string{"attempts", "connection refused"}},
		{name: "metadata hangs", faults: fault("metadata", "", emulator.Then{Effect: emulator.EffectDelay, For: time.Hour}), args: []string{"--timeout", "300ms"}, exit: exitUnavailable,
			want: []string{"metadata-latency=warning", "token=error"}},
		{name: "metadata starts", metadata: emulator.MetadataOptions{NotReadyFor: 600 * time.Millisecond}, want: []string{"metadata-latency=warning", "token=warning"},
			check: "token", says: []string{"attempts", "starting"}},
		{name: "metadata slow", metadata: emulator.MetadataOptions{Latency: 260 * time.Millisecond}, want: []string{"metadata-latency=warning"},
			check: "metadata-latency", says: []string{"median of 5", "tidemark metadata serve"}},
		{name: "unknown account", faults: fault("metadata", "**/token", status(404)), store: "gs", exit: exitCredentials,
			want: []string{"token=error", "store=skipped"}, check: "token", says: []string{"404", "attach the service account"}},
		{name: "account refused", faults: fault("metadata", "**/token", status(403)), exit: exitCredentials, want: []string{"token=error"},
			check: "token", says: []string{"403", "workloadIdentityUser"}},
		{name: "a proxy's page", faults: fault("metadata", "", emulator.Then{Effect: emulator.EffectHTML, Status: 200}), exit: exitUnavailable, args: []string{"--timeout", "1s"},
			want: []string{"metadata-latency=warning", "token=error"}, check: "metadata-latency", says: []string{"not Google's metadata server"}},
		{name: "project refused", faults: fault("metadata", "**/project-id", status(403)), want: []string{"metadata-latency=warning"}},
		{name: "no name", faults: fault("metadata", "**/email", status(404)), want: []string{"account=warning"}},
		{name: "repeats to the end", metadata: emulator.MetadataOptions{TokenLifetime: 2 * time.Minute}, want: []string{"repeats=warning"},
			check: "repeats", says: []string{"1 min left", "225 s", "tidemark metadata serve"}},
		{name: "new tokens only", metadata: emulator.MetadataOptions{ReuseUntil: -1}, check: "repeats", says: []string{"every request brings a new token"}},
		{name: "one token, then 429", faults: []emulator.Fault{{Match: emulator.Match{Server: "metadata", Path: "**/token", Nth: 2}, Then: status(429)}},
			want: []string{"repeats=warning"}, check: "repeats", says: []string{"429"}},
		{name: "clock", metadata: emulator.MetadataOptions{ClockSkew: 2 * time.Minute}, want: []string{"metadata-clock=warning"},
			check: "metadata-clock", says: []string{"ahead of the metadata server's", "chrony"}},
		{name: "clock the other way", metadata: emulator.MetadataOptions{ClockSkew: -2 * time.Minute}, want: []string{"metadata-clock=warning"},
			check: "metadata-clock", says: []string{"behind the metadata server's"}},

		// Scopes.
		{name: "read-only machine", metadata: emulator.MetadataOptions{Scopes: []string{"https://www.googleapis.com/auth/devstorage.read_only"}}, exit: exitCredentials,
			want: []string{"scopes=error"}, check: "scopes", says: []string{"devstorage.read_only", "set-service-account"}},
		{name: "read-only machine, store", metadata: emulator.MetadataOptions{Scopes: []string{"https://www.googleapis.com/auth/devstorage.read_only"}},
			storage: refuse("storage.objects.create"), store: "gs", exit: exitCredentials,
			want:  []string{"scopes=warning", "create=error", "create-if-absent=skipped", "compare-and-swap=skipped"},
			check: "create", says: []string{"widen the scopes first"}},
		{name: "asked too little", args: []string{"--scopes", "https://www.googleapis.com/auth/devstorage.read_only"}, exit: exitCredentials, want: []string{"scopes=error"}},
		{name: "unknown scopes", faults: fault("metadata", "**/scopes", status(404)), want: []string{"scopes=warning"}},

		// The environment.
		{name: "no credentials", env: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": "missing.json"}, store: "gs", exit: exitCredentials,
			want: []string{"source=error", "store=skipped"}, check: "source", says: []string{"missing.json", "unset it to look further"}},
		{name: "key of no use", env: map[string]string{"GOOGLE_SERVICE_ACCOUNT_KEY": `{"type":"service_account","private_key":"PASSW0RD"}`}, exit: exitCredentials, want: []string{"source=error"}},
		{name: "emulator's variable", env: map[string]string{"STORAGE_EMULATOR_HOST": "http://u:PASSW0RD@127.0.0.1:1/?k=PASSW0RD"}, want: []string{"emulator-host=warning"},
			check: "emulator-host", says: []string{"127.0.0.1:1: gs:// goes there", "unset STORAGE_EMULATOR_HOST"}},
		{name: "emulator's variable, endpoint given", env: map[string]string{"STORAGE_EMULATOR_HOST": "127.0.0.1:1"}, store: "gs"},

		// The store.
		{name: "no bucket", store: "gs://no-such-bucket/flows", exit: exitUsage,
			want:  []string{"bucket=error", "create=skipped", "create-if-absent=skipped", "compare-and-swap=skipped", "read=skipped", "list=skipped", "delete=skipped"},
			check: "bucket", says: []string{"create the bucket"}},
		{name: "no create", storage: refuse("storage.objects.create"), store: "gs", exit: exitCredentials,
			want: []string{"create=error", "create-if-absent=skipped", "compare-and-swap=skipped"}, check: "create",
			says: []string{"storage.objects.create", "gcloud storage buckets add-iam-policy-binding gs://acme --member=serviceAccount:" + account + " --role=roles/storage.objectUser"}},
		{name: "no delete", storage: refuse("storage.objects.delete"), store: "gs", exit: exitCredentials, want: []string{"delete=error"}, check: "delete", says: []string{"remains"}},
		{name: "no read", storage: refuse("storage.objects.get"), store: "gs", exit: exitCredentials, want: []string{"read=error"}},
		{name: "no list and no settings", storage: refuse("listing or settings"), store: "gs", exit: exitCredentials, want: []string{"list=error", "bucket-settings=warning"},
			check: "bucket-settings", says: []string{"storage.buckets.get", "roles/storage.bucketViewer", account}},
		{name: "no settings", faults: fault("storage", "/storage/v1/b/acme", status(403)), store: "gs", want: []string{"bucket-settings=warning"}},
		{name: "settings of a proxy", faults: fault("storage", "/storage/v1/b/acme", emulator.Then{Effect: emulator.EffectHTML, Status: 200}), store: "gs", want: []string{"bucket-settings=warning"}},
		{name: "nothing allowed", storage: refuse("all"), store: "gs", exit: exitCredentials,
			want: []string{"create=error", "create-if-absent=skipped", "compare-and-swap=skipped", "read=error", "list=error", "delete=error", "bucket-settings=warning"}},
		{name: "token refused", faults: fault("storage", "", status(401)), store: "gs", exit: exitCredentials,
			want:  []string{"reach=error", "bucket=skipped", "create=skipped", "create-if-absent=skipped", "compare-and-swap=skipped", "read=skipped", "list=skipped", "delete=skipped"},
			check: "reach", says: []string{"401", account}},
		{name: "store down", faults: fault("storage", "", status(503)), store: "gs", exit: exitUnavailable,
			want: []string{"reach=error", "bucket=skipped", "create=skipped", "create-if-absent=skipped", "compare-and-swap=skipped", "read=skipped", "list=skipped", "delete=skipped", "bucket-settings=warning"}},
		{name: "one change a second", storage: &emulator.StorageOptions{RateLimit: true}, store: "gs"},
		{name: "anonymous", storage: &emulator.StorageOptions{Authorize: func(string) error { return nil }}, store: "gs", args: []string{"anonymous"}},

		// The bucket's settings.
		{name: "soft delete", storage: settings(emulator.BucketSettings{SoftDelete: 7 * 24 * time.Hour}), store: "gs", want: []string{"bucket-soft-delete=warning"},
			check: "bucket-soft-delete", says: []string{"7 days", "$2,000 a month", "gs://acme --clear-soft-delete"}},
		{name: "versioning", storage: settings(emulator.BucketSettings{Versioning: true}), store: "gs", want: []string{"bucket-versioning=warning"}},
		{name: "cold storage", storage: settings(emulator.BucketSettings{StorageClass: "NEARLINE"}), store: "gs", want: []string{"bucket-class=warning"},
			check: "bucket-class", says: []string{"30 days"}},
		{name: "retention", storage: settings(emulator.BucketSettings{Retention: time.Hour}), store: "gs", exit: exitFailed, want: []string{"bucket-retention=error"},
			check: "bucket-retention", says: []string{"for 1 h", "nothing was written", "--clear-retention-period"}},
		{name: "hold", storage: settings(emulator.BucketSettings{EventBasedHold: true}), store: "gs", exit: exitFailed, want: []string{"bucket-retention=error"}},
		{name: "lifecycle", storage: lifecycle("Delete", emulator.LifecycleCondition{Age: age(30)}), store: "gs", exit: exitFailed, want: []string{"bucket-lifecycle=error"},
			check: "bucket-lifecycle", says: []string{"after 30 days", "matchesPrefix"}},
		{name: "lifecycle of the prefix", storage: lifecycle("Delete", emulator.LifecycleCondition{Age: age(1), MatchesPrefix: []string{"tmp/", "flows/orders/data"}}), store: "gs",
			exit: exitFailed, want: []string{"bucket-lifecycle=error"}},
		{name: "lifecycle above the prefix", storage: lifecycle("Delete", emulator.LifecycleCondition{MatchesPrefix: []string{"fl"}}), store: "gs", exit: exitFailed, want: []string{"bucket-lifecycle=error"}},
		{name: "lifecycle of another prefix", storage: lifecycle("Delete", emulator.LifecycleCondition{Age: age(1), MatchesPrefix: []string{"flows2/"}}), store: "gs"},
		{name: "lifecycle of old versions", storage: lifecycle("Delete", emulator.LifecycleCondition{NumNewerVersions: 1}), store: "gs"},
		{name: "lifecycle of dead versions", storage: lifecycle("Delete", emulator.LifecycleCondition{IsLive: &no}), store: "gs"},
		{name: "lifecycle to cold storage", storage: lifecycle("SetStorageClass", emulator.LifecycleCondition{Age: age(1)}), store: "gs", want: []string{"bucket-lifecycle=warning"},
			check: "bucket-lifecycle", says: []string{"COLDLINE"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cloud := emulator.Start(t, &emulator.Options{Metadata: &c.metadata, Storage: c.storage, Faults: c.faults})
			onlyMetadata(t, cloud.MetadataHost())
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			args := c.args
			if c.store != "" {
				store := cloud.StoreURL("acme", "flows")
				if c.store != "gs" {
					store = c.store + "?endpoint=" + url.QueryEscape(cloud.StorageURL())
				}
				if slices.Equal(args, []string{"anonymous"}) {
					store, args = store+"&anonymous=true", nil
				}
				args = append([]string{store}, args...)
			}
			doc, found := examine(t, c.exit, args...)
			if c.metadata.NotReadyFor == 0 && c.faults == nil && cloud.Metadata().Stats().TokenRequests > 2 {
				t.Errorf("%d tokens were asked for", cloud.Metadata().Stats().TokenRequests)
			}
			if !slices.Equal(found, c.want) {
				t.Errorf("found %q, want %q", found, c.want)
			}
			for _, want := range c.says {
				if text := doc.text(c.check); !strings.Contains(text, want) {
					t.Errorf("%s does not say %q: %s", c.check, want, text)
				}
			}
			if strings.Contains(strings.Join(c.want, " "), "bucket-retention") && cloud.Requests().ByOp[emulator.OpInsert] > 0 {
				t.Error("something was written that could not be deleted")
			}
			if left := cloud.Storage().Objects("acme"); len(left) > 0 && c.name != "no delete" {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestDoctorOfADirectory needs no credentials, and leaves nothing behind where no store is yet.
func TestDoctorOfADirectory(t *testing.T) {
	onlyMetadata(t, "127.0.0.1:1")
	dir := t.TempDir()
	if _, found := examine(t, exitDone, "file://"+filepath.ToSlash(dir)); len(slices.DeleteFunc(found, isFreeSpace)) > 0 {
		t.Errorf("found %q", found)
	}
	mistyped := filepath.Join(t.TempDir(), "no", "such")
	doc, found := examine(t, exitDone, "file://"+filepath.ToSlash(mistyped))
	if found = slices.DeleteFunc(found, isFreeSpace); !slices.Equal(found, []string{"directory=warning"}) || !strings.Contains(doc.text("directory"), "does not exist") {
		t.Errorf("found %q: %s", found, doc.text("directory"))
	}
	above := filepath.Dir(filepath.Dir(mistyped))
	if entries, err := os.ReadDir(above); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, found := examine(t, exitUsage, "file://"+filepath.ToSlash(file)); !slices.Equal(found, []string{"directory=error"}) {
		t.Errorf("found %q", found)
	}
	t.Setenv("TIDEMARK_STORE", "mem://doctor")
	if doc, _ := examine(t, exitDone); doc.Store != "mem://doctor" {
		t.Errorf("TIDEMARK_STORE was not looked at: %+v", doc)
	}
}

// isFreeSpace: how full the disk of a test is says nothing of the code.
func isFreeSpace(s string) bool { return strings.HasPrefix(s, "free-space=") }

// TestDoctorAndTheStoresClock has the store be two minutes behind.
func TestDoctorAndTheStoresClock(t *testing.T) {
	cloud := emulator.Start(t, &emulator.Options{StorageHandler: func(authorize func(string) error) http.Handler {
		return lateStorage{emulator.NewStorage(&emulator.StorageOptions{Authorize: authorize})}
	}})
	onlyMetadata(t, cloud.MetadataHost())
	doc, found := examine(t, exitDone, cloud.StoreURL("acme", "flows"))
	if !slices.Equal(found, []string{"store-clock=warning"}) || !strings.Contains(doc.text("store-clock"), "this machine's clock is 2 min ahead of the store's") {
		t.Errorf("found %q: %s", found, doc.text("store-clock"))
	}
}

type lateStorage struct{ *emulator.Storage }

func (s lateStorage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", time.Now().Add(-125*time.Second).UTC().Format(http.TimeFormat))
	s.Storage.ServeHTTP(w, r)
}

// TestDoctorOfS3 needs no credentials of Google's.
func TestDoctorOfS3(t *testing.T) {
	cloud := emulator.Start(t, &emulator.Options{Storage: &emulator.StorageOptions{S3: &emulator.S3Options{Keys: map[string]string{"AKID": "PASSW0RD"}}}})
	if err := cloud.CreateBucket("acme"); err != nil {
		t.Fatal(err)
	}
	onlyMetadata(t, "127.0.0.1:1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKID")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "PASSW0RD")
	parameters := "/flows?region=auto&use_path_style=true&endpoint=" + url.QueryEscape(cloud.StorageURL())
	if doc, found := examine(t, exitDone, "s3://acme"+parameters); len(found) > 0 || doc.text("store-clock") == "" {
		t.Errorf("found %q in %+v", found, doc)
	}
	if _, found := examine(t, exitUsage, "s3://no-such-bucket"+parameters); len(found) == 0 || found[0] != "bucket=error" {
		t.Errorf("without a bucket it found %q", found)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	if _, found := examine(t, exitCredentials, "s3://acme"+parameters); len(found) == 0 || !strings.HasSuffix(found[0], "=error") {
		t.Errorf("with a wrong key it found %q", found)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	if _, found := examine(t, exitCredentials, "s3://acme"+parameters, "--timeout", "5s"); len(found) == 0 || !strings.HasSuffix(found[0], "=error") {
		t.Errorf("without a key it found %q", found)
	}
	if left := cloud.Storage().Objects("acme"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDoctorIsInterrupted(t *testing.T) {
	for _, server := range []string{"metadata", "storage"} {
		cloud := emulator.Start(t, &emulator.Options{Faults: []emulator.Fault{{Match: emulator.Match{Server: server}, Then: emulator.Then{Effect: emulator.EffectDelay, For: time.Hour}}}})
		onlyMetadata(t, cloud.MetadataHost())
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(300*time.Millisecond, cancel)
		var out, errw bytes.Buffer
		start := time.Now()
		code := run(ctx, []string{"doctor", cloud.StoreURL("acme", "flows")}, nil, &out, &errw)
		if took := time.Since(start); code != exitInterrupted || took > 1300*time.Millisecond || strings.Contains(out.String(), "FAIL") {
			t.Errorf("%s: exit code %d after %s\n%s%s", server, code, took, &out, &errw)
		}
	}
}

func TestDoctorAndProxies(t *testing.T) {
	for _, c := range []struct {
		name     string
		proxied  string // the host
		err      error
		metadata bool
		want     severity
		says     string
	}{
		{"none", "", nil, true, fine, "none"},
		{"for tokens", "10.0.0.1", nil, true, warning, "ask the proxy proxy:3128"},
		{"for tokens of nobody", "10.0.0.1", nil, false, fine, "none"},
		{"for the store", "storage.googleapis.com", nil, true, fine, "go through proxy:3128"},
		{"nonsense", "10.0.0.1", errors.New("PASSW0RD"), true, warning, "not a URL"},
	} {
		var out bytes.Buffer
		d := &doctor{app: &app{out: &out}, proxyFor: func(r *http.Request) (*url.URL, error) {
			if r.URL.Hostname() != c.proxied {
				return nil, nil
			}
			return &url.URL{Scheme: "http", Host: "proxy:3128", User: url.UserPassword("u", "PASSW0RD")}, c.err
		}}
		if c.metadata {
			d.metadata = &metadataServer{host: "10.0.0.1:80"}
		}
		d.proxies()
		if got := d.report.Checks[0]; got.Severity != c.want || !strings.Contains(got.Detail, c.says) || strings.Contains(out.String(), "PASSW0RD") {
			t.Errorf("%s: %+v\n%s", c.name, got, &out)
		}
	}
}

func TestDoctorAndOddMetadataHosts(t *testing.T) {
	for value, want := range map[string]severity{
		"": fine, "169.254.169.254": fine, "metadata.google.internal:80": fine, "[fd20:ce::254]:80": fine, "127.0.0.1:8080": fine, "localhost": fine, "[::1]:80": fine,
		"10.1.2.3": warning, "evil.example": warning, "http://127.0.0.1:8080": warning, "u:PASSW0RD@10.1.2.3": warning, "127.0.0.1/computeMetadata": warning, "a b": warning,
	} {
		t.Setenv("GCE_METADATA_HOST", value)
		var out bytes.Buffer
		d := &doctor{app: &app{out: &out}}
		d.metadataHost()
		if got := d.report.Checks[0]; got.Severity != want || strings.Contains(out.String(), "PASSW0RD") {
			t.Errorf("%q: %+v\n%s", value, got, &out)
		}
	}
}

func TestLifecycleRulesThatReachAStore(t *testing.T) {
	for _, c := range []struct {
		condition string
		want      bool
	}{
		{`{}`, true},
		{`{"age":1,"matchesPrefix":["flows"]}`, true},
		{`{"age":1,"matchesPrefix":["flows/orders/"]}`, true},
		{`{"age":1,"matchesPrefix":["other/","flow/"]}`, false},
		{`{"age":1,"matchesSuffix":[".tmp",".log"]}`, false},
		{`{"age":1,"matchesSuffix":[".tmp","/HEAD"]}`, true},
		{`{"age":1,"matchesSuffix":["0f"]}`, true},
		{`{"age":1,"matchesPrefix":["flows/"],"matchesSuffix":[".tmp"]}`, false},
		{`{"isLive":true}`, true},
		{`{"isLive":false}`, false},
		{`{"daysSinceNoncurrentTime":0}`, false},
		{`{"noncurrentTimeBefore":"2031-01-01"}`, false},
		{`{"daysSinceCustomTime":1}`, false},
		{`{"customTimeBefore":"2031-01-01"}`, false},
	} {
		var r lifecycleRule
		if err := json.Unmarshal([]byte(c.condition), &r.Condition); err != nil {
			t.Fatal(err)
		}
		if r.reaches("flows/") != c.want {
			t.Errorf("%s: reaches flows/ is %t", c.condition, !c.want)
		}
	}
}
