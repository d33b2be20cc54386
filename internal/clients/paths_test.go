package clients_test

import (
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/emulator"
)

// paths are what libraries of other languages ask for, as their sources have it.
var paths = []struct {
	by, path string
	host     string // in Host, where the library does not learn another
	want     string // a pattern of the body; empty: there is no such thing
}{
	{"Java google-auth-library, ComputeEngineCredentials: is it Google Cloud?", "", "metadata.google.internal", `computeMetadata`},
	{"the same: token", "/computeMetadata/v1/instance/service-accounts/default/token", "", grant},
	{"the same: token with scopes", "/computeMetadata/v1/instance/service-accounts/default/token?scopes=https://www.googleapis.com/auth/devstorage.read_write,openid", "", grant},
	{"the same: token for DirectPath", "/computeMetadata/v1/instance/service-accounts/default/token?transport=alts", "", grant},
	{"the same: token bound to mTLS", "/computeMetadata/v1/instance/service-accounts/default/token?transport=mtls&binding-enforcement=iam-policy", "", grant},
	{"the same: accounts", "/computeMetadata/v1/instance/service-accounts/?recursive=true", "", `^\{"default":\{"aliases":\["default"\],"email":"` + account},
	{"the same: account", "/computeMetadata/v1/instance/service-accounts/default/email", "", "^" + account + "$"},
	{"the same: identity", "/computeMetadata/v1/instance/service-accounts/default/identity?format=full&licenses=TRUE&audience=https://service.example", "", jwt},
	{"the same: universe", "/computeMetadata/v1/universe/universe-domain", "", "^googleapis.com$"},
	{"Java google-cloud-core, ServiceOptions and MetadataConfig", "/computeMetadata/v1/project/project-id", "metadata.google.internal", "^" + project + "$"},
	{"the same", "/computeMetadata/v1/instance/zone", "metadata.google.internal", "^projects/[0-9]+/zones/us-central1-a$"},
	{"the same", "/computeMetadata/v1/instance/attributes/cluster-name", "metadata.google.internal", ""},
	{"Hadoop's GCS connector by google-api-client, ComputeCredential", "/computeMetadata/v1/instance/service-accounts/default/token", "169.254.169.254", grant},
	{"Rust object_store, InstanceCredentialProvider", "/computeMetadata/v1/instance/service-accounts/default/token?audience=https%3A%2F%2Fwww.googleapis.com%2Foauth2%2Fv4%2Ftoken", "", grant},
	{"the same before it knew GCE_METADATA_HOST", "/computeMetadata/v1/instance/service-accounts/default/token?audience=https%3A%2F%2Fwww.googleapis.com%2Foauth2%2Fv4%2Ftoken", "metadata", grant},
	{"the same, to sign URLs", "/computeMetadata/v1/instance/service-accounts/default/email", "", "^" + account + "$"},
	{"gcloud, gce_read: account", "/computeMetadata/v1/instance/service-accounts/default/email", "", "^" + account + "$"},
	{"the same: accounts", "/computeMetadata/v1/instance/service-accounts/", "", "^default/\n" + account + "/\n$"},
	{"the same: project", "/computeMetadata/v1/project/project-id", "", "^" + project + "$"},
	{"the same: number of the project", "/computeMetadata/v1/project/numeric-project-id", "", "^123456789012$"},
	{"the same: zone", "/computeMetadata/v1/instance/zone", "", "/zones/us-central1-a$"},
	{"the same: universe, with an underscore", "/computeMetadata/v1/universe/universe_domain", "", ""},
	{"the same: identity", "/computeMetadata/v1/instance/service-accounts/default/identity?audience=https://service.example&format=standard&licenses=FALSE", "", jwt},
	{"gsutil by oauth2client, _metadata: account", "/computeMetadata/v1/instance/service-accounts/default/?recursive=True", "", `^\{"aliases":\["default"\],"email":"` + account + `","scopes":\[`},
	{"the same: token", "/computeMetadata/v1/instance/service-accounts/default/token", "", grant},
	{"gsutil by boto's plug-in: scopes", "/computeMetadata/v1/instance/service-accounts/default/scopes", "", `^https://www.googleapis.com/auth/cloud-platform\n$`},
	{"Python google-auth, _metadata: ping", "/", "169.254.169.254", `computeMetadata`},
	{"the same: account", "/computeMetadata/v1/instance/service-accounts/default/?recursive=true", "metadata.google.internal", `"email":"` + account},
	{"Node gcp-metadata: is it there?", "/computeMetadata/v1/instance/", "metadata.google.internal.", "service-accounts/\n"},
	{"the same: everything as JSON", "/computeMetadata/v1/instance/?recursive=true", "", `"serviceAccounts":\{"default"`},
	{"Google's guest agent", "/computeMetadata/v1/?alt=json&recursive=true&timeout_sec=1&last_etag=NONE", "", `"projectId":"` + project},
	{"tools that ask for a value as JSON", "/computeMetadata/v1/project/project-id?alt=json", "", `^"` + project + `"$`},
	{"a curl in a script, without the slash", "/computeMetadata/v1/instance", "", "service-accounts/\n"},
}

const (
	grant = `^\{"access_token":"[\w.-]+","expires_in":3[56]\d\d,"token_type":"Bearer"\}\s*$`
	jwt   = `^[\w-]+\.[\w-]+\.[\w-]+$`
)

// TestPaths: the servers answer what is expected, and the sidecar no differently from what it stands in front of.
func TestPaths(t *testing.T) {
	cloud := emulator.Start(t, nil)
	beside := startSidecar(t, cloud)
	for _, tc := range paths {
		direct, directly := get(t, cloud.MetadataHost(), tc.path, tc.host)
		through, body := get(t, beside, tc.path, tc.host)
		if tc.want == "" {
			if direct.StatusCode != http.StatusNotFound || through.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %s: HTTP %d, and %d through the sidecar, want 404", tc.by, tc.path, direct.StatusCode, through.StatusCode)
			}
			continue
		}
		for server, got := range map[string]string{"emulator": directly, "sidecar": body} {
			if !regexp.MustCompile(tc.want).MatchString(got) {
				t.Errorf("%s: %s: the %s answers %.200q", tc.by, tc.path, server, got)
			}
		}
		if direct.StatusCode != http.StatusOK || through.StatusCode != http.StatusOK {
			t.Errorf("%s: %s: HTTP %d, and %d through the sidecar", tc.by, tc.path, direct.StatusCode, through.StatusCode)
		}
		for _, name := range []string{"Content-Type", "Metadata-Flavor", "Server"} {
			if want, got := direct.Header.Get(name), through.Header.Get(name); want != got {
				t.Errorf("%s: %s: %s is %q, and %q through the sidecar", tc.by, tc.path, name, want, got)
			}
		}
		if strings.Contains(tc.want, "access_token") || tc.want == jwt {
			continue // another token each time, and another second
		}
		if directly != body {
			t.Errorf("%s: %s: %.200q, and %.200q through the sidecar", tc.by, tc.path, directly, body)
		}
	}
}

func get(t *testing.T, addr, path, host string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Metadata-Flavor", "Google")
	req.Host = host
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}
