package credentials_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/credentials"
	"github.com/tidemark-go/tidemark/emulator"
)

const machine = "tidemark@emulator-project.iam.gserviceaccount.com"

func metadata(cloud *emulator.Cloud) credentials.Source {
	return credentials.Metadata(&credentials.MetadataOptions{Host: cloud.MetadataHost()})
}

func TestImpersonate(t *testing.T) {
	const first, second = "first@p.iam.gserviceaccount.com", "second@p.iam.gserviceaccount.com"
	cloud := emulator.Start(t, nil)
	o := &credentials.ImpersonateOptions{Endpoint: cloud.IAMURL(), Scopes: []string{readOnly}, Delegates: []string{first, second}}
	src := mustSource(t)(credentials.Impersonate(metadata(cloud), target, o))
	links := [][2]string{{machine, first}, {first, second}, {second, target}}
	for _, link := range links {
		if _, err := src.Fetch(t.Context()); !errors.Is(err, credentials.ErrRefused) || !strings.Contains(err.Error(), target) {
			t.Errorf("a link is missing in the chain of delegates: %v", err)
		}
		cloud.LetImpersonate(link[0], link[1])
	}
	token, info := fetch(t, cloud, src)
	if info.Account != target || token.Account() != target || !slices.Equal(info.Scopes, []string{readOnly}) {
		t.Errorf("the token is for %s with %v", info.Account, info.Scopes)
	}
	if d := info.Expiry.Sub(token.Expiry()); d < 0 || d > 2*time.Second {
		t.Errorf("the expiry differs by %v from the cloud's", d)
	}

	o.Lifetime = 2 * time.Hour
	long := mustSource(t)(credentials.Impersonate(metadata(cloud), target, o))
	if _, err := long.Fetch(t.Context()); !errors.Is(err, credentials.ErrMisconfigured) || !strings.Contains(err.Error(), "LifetimeExtension") {
		t.Errorf("two hours without the organisation's leave: %v", err)
	}
	cloud.AllowLongTokens(target)
	if token, _ := fetch(t, cloud, long); time.Until(token.Expiry()) < 119*time.Minute {
		t.Errorf("the token lives %v", time.Until(token.Expiry()))
	}
	if src.Identity() == long.Identity() {
		t.Error("another life is the same identity")
	}
	for _, bad := range []string{"", "target", "a@b/../c", "a@b:generateIdToken"} {
		if _, err := credentials.Impersonate(metadata(cloud), bad, nil); !errors.Is(err, credentials.ErrMisconfigured) {
			t.Errorf("account %q: %v", bad, err)
		}
	}
}

// A server that grants less than was asked for is believed, one that makes no sense is not.
func TestImpersonatedLife(t *testing.T) {
	var expiry string
	client := &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		header := http.Header{"Content-Type": {"application/json"}, "Date": {time.Now().UTC().Format(http.TimeFormat)}}
		body := strings.NewReader(string(encode(object{"accessToken": "ya29.x", "expireTime": expiry})))
		return &http.Response{StatusCode: 200, Header: header, Body: io.NopCloser(body)}, nil
	})}
	src := mustSource(t)(credentials.Impersonate(credentials.Static("x", ""), target, &credentials.ImpersonateOptions{Client: client}))
	expiry = time.Now().Add(10 * time.Minute).Format(time.RFC3339)
	token, err := src.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(token.Expiry()); left > 10*time.Minute || left < 9*time.Minute {
		t.Errorf("the token lives %v", left)
	}
	for _, expiry = range []string{"", "soon", "2001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"} {
		if _, err := src.Fetch(t.Context()); !errors.Is(err, credentials.ErrUnavailable) {
			t.Errorf("expireTime %q: %v", expiry, err)
		}
	}
}

// The file that gcloud writes, over a person's login.
func TestImpersonatedFile(t *testing.T) {
	cloud := emulator.Start(t, nil)
	cloud.LetImpersonate("person@example.com", "step@example.com")
	cloud.LetImpersonate("step@example.com", target)
	src := mustKey(t, encode(object{
		"type": "impersonated_service_account", "service_account_impersonation_url": cloud.ImpersonationURL(target),
		"delegates": []string{"projects/-/serviceAccounts/step@example.com"}, "source_credentials": json.RawMessage(cloud.AuthorizedUser()),
	}), nil)
	if _, info := fetch(t, cloud, src); info.Account != target || !slices.Equal(info.Scopes, []string{credentials.CloudPlatform}) {
		t.Errorf("the token is for %s with %v", info.Account, info.Scopes)
	}
}

// An outage above costs no fetches below, and a basis that was revoked is replaced at once.
func TestBasisIsKept(t *testing.T) {
	cloud := emulator.Start(t, nil)
	cloud.LetImpersonate(machine, target)
	src := mustSource(t)(credentials.Impersonate(metadata(cloud), target, &credentials.ImpersonateOptions{Endpoint: cloud.IAMURL()}))
	if err := cloud.SetFaults(emulator.Fault{
		Match: emulator.Match{Path: "/v1/projects/**"},
		Then:  emulator.Then{Effect: emulator.EffectStatus, Status: 503, RetryAfter: 3 * time.Second},
	}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err := src.Fetch(t.Context())
		if e, ok := errors.AsType[*credentials.Error](err); !ok || e.Kind != credentials.Unavailable || e.RetryAfter != 3*time.Second {
			t.Fatalf("got %v", err)
		}
	}
	if n := cloud.Metadata().Stats().TokenRequests; n != 1 {
		t.Errorf("%d requests below for 3 attempts above", n)
	}
	if err := cloud.SetFaults(); err != nil {
		t.Fatal(err)
	}
	cloud.Issuer().RevokeAll()
	fetch(t, cloud, src)
	if n := cloud.Metadata().Stats().TokenRequests; n != 2 {
		t.Errorf("%d requests below", n)
	}
}

// The life of a token counts from the question, and by the clock of who states a moment.
func TestLifeCountsFromSending(t *testing.T) {
	cloud := federated(t)
	cloud.LetImpersonate(machine, target)
	key := mustKey(t, cloud.ServiceAccountKey(), nil)
	fetch(t, cloud, key)
	delayed := []emulator.Fault{{Match: emulator.Match{Server: "oauth"}, Then: emulator.Then{Effect: emulator.EffectDelay, For: 300 * time.Millisecond}}}
	if err := cloud.SetFaults(delayed...); err != nil {
		t.Fatal(err)
	}
	for name, src := range map[string]credentials.Source{
		"federated":    mustKey(t, external(cloud, object{"file": put(t, "t", foreign, 0o600)}), nil),
		"impersonated": mustSource(t)(credentials.Impersonate(metadata(cloud), target, &credentials.ImpersonateOptions{Endpoint: cloud.IAMURL()})),
		"downscoped":   mustSource(t)(credentials.Downscope(metadata(cloud), "bucket", "", &credentials.DownscopeOptions{Endpoint: cloud.STSURL()})),
		"identity":     mustSource(t)(credentials.IDToken(key, "https://example.com")),
	} {
		began := time.Now()
		token, err := src.Fetch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// Metadata's own request may come first, which takes a few milliseconds.
		if late := token.Expiry().Sub(began.Add(time.Hour)); late > 200*time.Millisecond || late < -3*time.Second {
			t.Errorf("%s: the token dies %v after an hour from the question", name, late)
		}
	}

	// A machine whose clock is an hour behind: to believe the absolute time would be to use a dead token.
	wrong := &http.Client{Transport: skewed{-time.Hour}}
	src := mustSource(t)(credentials.Impersonate(metadata(cloud), target, &credentials.ImpersonateOptions{Endpoint: cloud.IAMURL(), Client: wrong, Lifetime: 30 * time.Minute}))
	token, err := src.Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(token.Expiry()); left > 30*time.Minute || left < 29*time.Minute {
		t.Errorf("with a wrong clock the token lives %v", left)
	}
}

// skewed shifts a server's clock against ours: what it states, and its Date.
type skewed struct{ by time.Duration }

func (s skewed) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.(*http.Transport).Clone().RoundTrip(req)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	var said map[string]string
	if err := json.Unmarshal(body, &said); err != nil {
		return nil, err
	}
	expiry, err := time.Parse(time.RFC3339, said["expireTime"])
	if err != nil {
		return nil, err
	}
	said["expireTime"] = expiry.Add(s.by).Format(time.RFC3339)
	resp.Header.Set("Date", time.Now().Add(s.by).UTC().Format(http.TimeFormat))
	resp.Body = io.NopCloser(strings.NewReader(string(encode(said))))
	return resp, nil
}

func TestIDToken(t *testing.T) {
	const audience = "https://service.example.com/?a=b&c"
	cloud := emulator.Start(t, nil)
	cloud.LetImpersonate(machine, target)
	key := mustKey(t, cloud.ServiceAccountKey(), nil)
	impersonated := mustSource(t)(credentials.Impersonate(metadata(cloud), target, &credentials.ImpersonateOptions{Endpoint: cloud.IAMURL()}))
	for name, c := range map[string]struct {
		src     credentials.Source
		account string
	}{
		"metadata": {metadata(cloud), machine}, "key": {key, machine}, "impersonated": {impersonated, target},
	} {
		t.Run(name, func(t *testing.T) {
			src := mustSource(t)(credentials.IDToken(c.src, audience))
			token, err := src.Fetch(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token.Value(), ".")[1])
			if err != nil {
				t.Fatal(err)
			}
			var claims struct {
				Audience string `json:"aud"`
				Email    string `json:"email"`
				Expires  int64  `json:"exp"`
			}
			if err := json.Unmarshal(payload, &claims); err != nil {
				t.Fatal(err)
			}
			if claims.Audience != audience || claims.Email != c.account {
				t.Errorf("claims %+v", claims)
			}
			if late := token.Expiry().Sub(time.Unix(claims.Expires, 0)); late > 0 || late < -3*time.Second {
				t.Errorf("the token is kept %v longer than it says", late)
			}
			if src.Identity() == c.src.Identity() || cloud.Issuer().Check(token.Value()) == nil {
				t.Error("an identity token passes for an access token")
			}
			other := mustSource(t)(credentials.IDToken(c.src, "other"))
			if src.Identity() == other.Identity() {
				t.Error("two audiences are one identity")
			}
		})
	}
	if _, err := credentials.IDToken(key, ""); !errors.Is(err, credentials.ErrMisconfigured) {
		t.Errorf("without an audience: %v", err)
	}
	if _, err := credentials.IDToken(mustKey(t, cloud.AuthorizedUser(), nil), audience); !errors.Is(err, credentials.ErrMisconfigured) {
		t.Errorf("of a person's login: %v", err)
	}
	if err := cloud.SetFaults(emulator.Fault{Then: emulator.Then{Effect: emulator.EffectHTML, Status: 200}}); err != nil {
		t.Fatal(err)
	}
	for _, src := range []credentials.Source{metadata(cloud), key, impersonated} {
		_, err := mustSource(t)(credentials.IDToken(src, audience)).Fetch(t.Context())
		if !errors.Is(err, credentials.ErrUnavailable) || strings.Contains(err.Error(), "proxy received") {
			t.Errorf("a page instead of an answer: %v", err)
		}
	}
}

// The storage server takes the token within its boundary, and refuses it outside.
func TestDownscope(t *testing.T) {
	cloud := emulator.Start(t, nil)
	for _, bucket := range []string{"ours", "theirs"} {
		if err := cloud.CreateBucket(bucket); err != nil {
			t.Fatal(err)
		}
	}
	o := &credentials.DownscopeOptions{Endpoint: cloud.STSURL()}
	for name, base := range map[string]credentials.Source{"machine": metadata(cloud), "person": mustKey(t, cloud.AuthorizedUser(), nil)} {
		t.Run(name, func(t *testing.T) {
			tokens := credentials.New(mustSource(t)(credentials.Downscope(base, "ours", "jobs/a/", o)), nil)
			defer func() { _ = tokens.Close() }()
			base := &http.Transport{}
			defer base.CloseIdleConnections()
			client := &http.Client{Transport: credentials.Transport(tokens, base)}
			do := func(method, path string) int {
				req, err := http.NewRequestWithContext(t.Context(), method, cloud.StorageURL()+path, strings.NewReader("x"))
				if err != nil {
					t.Fatal(err)
				}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = resp.Body.Close() }()
				return resp.StatusCode
			}
			for _, c := range []struct {
				method, path string
				want         int
			}{
				{"POST", "/upload/storage/v1/b/ours/o?uploadType=media&name=jobs/a/1", 200},
				{"GET", "/storage/v1/b/ours/o/jobs%2Fa%2F1?alt=media", 200},
				{"GET", "/ours/jobs/a/1", 200},
				{"GET", "/storage/v1/b/ours/o?prefix=jobs/a/", 200},
				{"GET", "/storage/v1/b/ours/o?prefix=jobs/", 403},
				{"GET", "/storage/v1/b/ours/o", 403},
				{"POST", "/upload/storage/v1/b/ours/o?uploadType=media&name=jobs/b/1", 403},
				{"GET", "/storage/v1/b/ours/o/jobs%2Fb%2F1?alt=media", 403},
				{"GET", "/ours/jobs/b", 403},
				{"POST", "/upload/storage/v1/b/theirs/o?uploadType=media&name=jobs/a/1", 403},
				{"POST", "/storage/v1/b/ours/o/jobs%2Fa%2F1/rewriteTo/b/theirs/o/jobs%2Fa%2F1", 403},
				{"DELETE", "/storage/v1/b/ours/o/jobs%2Fa%2F1", 204},
				{"GET", "/storage/v1/b/ours", 403},
			} {
				if got := do(c.method, c.path); got != c.want {
					t.Errorf("%s %s: %d, want %d", c.method, c.path, got, c.want)
				}
			}
			token, err := tokens.Get(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			info, err := cloud.Issuer().Info(token.Value())
			if err != nil {
				t.Fatal(err)
			}
			if d := info.Expiry.Sub(token.Expiry()); d < -50*time.Millisecond || d > 2*time.Second || !info.Bounded {
				t.Errorf("the expiry differs by %v from the cloud's; bounded: %v", d, info.Bounded)
			}
		})
	}
	twice := mustSource(t)(credentials.Downscope(mustSource(t)(credentials.Downscope(metadata(cloud), "ours", "a/", o)), "ours", "", o))
	if _, err := twice.Fetch(t.Context()); !errors.Is(err, credentials.ErrRefused) {
		t.Errorf("a boundary around a boundary: %v", err)
	}
	readers := &credentials.DownscopeOptions{Endpoint: cloud.STSURL(), Roles: []string{"roles/storage.objectViewer"}}
	if mustSource(t)(credentials.Downscope(metadata(cloud), "ours", "a/", readers)).Identity() ==
		mustSource(t)(credentials.Downscope(metadata(cloud), "ours", "a/", o)).Identity() {
		t.Error("two roles are one identity")
	}
	for _, c := range [][2]string{{"", "a"}, {"b/c", "a"}, {"b'", "a"}, {"bucket", "a\nb"}} {
		if _, err := credentials.Downscope(metadata(cloud), c[0], c[1], o); !errors.Is(err, credentials.ErrMisconfigured) {
			t.Errorf("bucket %q, prefix %q: %v", c[0], c[1], err)
		}
	}
	if _, err := credentials.Downscope(metadata(cloud), "bucket", "", &credentials.DownscopeOptions{Roles: []string{"admin"}}); !errors.Is(err, credentials.ErrMisconfigured) {
		t.Errorf("a role that is none: %v", err)
	}
}

// No request is made, and the cloud takes the token.
func TestSelfSigned(t *testing.T) {
	cloud := emulator.Start(t, nil)
	none := &http.Client{Transport: refusing{}}
	for name, o := range map[string]*credentials.KeyOptions{
		"scopes":   {SelfSigned: true, Scopes: []string{readOnly}, Client: none},
		"audience": {SelfSigned: true, Audience: "https://storage.googleapis.com/", Client: none},
	} {
		src := mustKey(t, cloud.ServiceAccountKey(), o)
		token, info := fetch(t, cloud, src)
		if info.Account != machine || (name == "scopes") != slices.Equal(info.Scopes, []string{readOnly}) {
			t.Errorf("%s: the token is for %s with %v", name, info.Account, info.Scopes)
		}
		if d := info.Expiry.Sub(token.Expiry()); d < 0 || d > 2*time.Second {
			t.Errorf("%s: the expiry differs by %v from the token's own", name, d)
		}
	}
	exchanged := mustKey(t, cloud.ServiceAccountKey(), nil)
	if exchanged.Identity() == mustKey(t, cloud.ServiceAccountKey(), &credentials.KeyOptions{SelfSigned: true}).Identity() {
		t.Error("signed and exchanged tokens are one identity")
	}
	if n := cloud.OAuthRequests(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

type refusing struct{}

func (refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("a request to %s was made", req.URL)
}

// A prefix cannot add a condition of its own: what goes into the request is a string that begins with it.
func TestDownscopeQuotes(t *testing.T) {
	var sent string
	client := &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		if err := req.ParseForm(); err != nil {
			return nil, err
		}
		sent = req.PostForm.Get("options")
		return nil, errors.New("seen")
	})}
	src := mustSource(t)(credentials.Downscope(credentials.Static("x", ""), "bucket", `a') || true || b\`, &credentials.DownscopeOptions{Client: client}))
	if _, err := src.Fetch(t.Context()); err == nil {
		t.Fatal("there was no answer")
	}
	var options struct {
		Boundary struct {
			Rules []struct {
				Condition struct {
					Expression string `json:"expression"`
				} `json:"availabilityCondition"`
			} `json:"accessBoundaryRules"`
		} `json:"accessBoundary"`
	}
	if err := json.Unmarshal([]byte(sent), &options); err != nil {
		t.Fatal(err)
	}
	want := `resource.name.startsWith('projects/_/buckets/bucket/objects/a\') || true || b\\') || ` +
		`api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('a\') || true || b\\')`
	if got := options.Boundary.Rules[0].Condition.Expression; got != want {
		t.Errorf("the condition is\n%s, want\n%s", got, want)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
