package emulator

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"cloud.google.com/go/storage"
)

// ask sends a request and returns the answer with its body.
func ask(t testing.TB, client *http.Client, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func TestStorageErrorShapes(t *testing.T) {
	s, srv := newTestStorage(t, &StorageOptions{
		Authorize: func(bearer string) error {
			if bearer != "good" {
				return errors.New("bad token")
			}
			return nil
		},
		Forbid: func(_, _, object string) (string, bool) {
			if object == "named" {
				return "storage.objects.frobnicate", true
			}
			return "", strings.HasPrefix(object, "secret")
		},
	})
	if err := s.create(&object{bucket: testBucket, name: "o", content: content{}}, &conditions{}); err != nil {
		t.Fatal(err)
	}
	good, bad, anonymous := newHTTPClient(t, "good"), newHTTPClient(t, "stale"), newHTTPClient(t, "")
	object := func(name string) string { return "/storage/v1/b/" + testBucket + "/o/" + name }
	for _, c := range []struct {
		name           string
		client         *http.Client
		method, path   string
		status         int
		reason, detail string // detail is in the message
	}{
		{"unknown token", bad, "GET", object("o"), 401, "authError", "Invalid Credentials"},
		{"unknown token, upload", bad, "POST", "/upload/storage/v1/b/" + testBucket + "/o?uploadType=media&name=n", 401, "authError", ""},
		{"no token", anonymous, "GET", object("o"), 401, "required",
			"Anonymous caller does not have storage.objects.get access to the Google Cloud Storage object."},
		{"no token, list", anonymous, "GET", "/storage/v1/b/" + testBucket + "/o", 401, "required",
			"storage.objects.list access to the Google Cloud Storage bucket."},
		{"no permission to read", good, "GET", object("secret") + "?alt=media", 403, "forbidden",
			" does not have storage.objects.get access to the Google Cloud Storage object. Permission 'storage.objects.get' denied on " +
				"resource (or it may not exist)."},
		{"no permission to delete", good, "DELETE", object("secret"), 403, "forbidden", "storage.objects.delete access"},
		{"no permission to copy from", good, "POST", object("secret") + "/rewriteTo/b/" + testBucket + "/o/x", 403, "forbidden", "storage.objects.get access"},
		{"no permission to copy to", good, "POST", object("o") + "/rewriteTo/b/" + testBucket + "/o/secret2", 403, "forbidden", "storage.objects.create access"},
		{"permission of the option", good, "GET", object("named"), 403, "forbidden", "storage.objects.frobnicate access"},
		{"no object", good, "GET", object("none"), 404, "notFound", "No such object: " + testBucket + "/none"},
		{"no bucket", good, "GET", "/storage/v1/b/nowhere/o/none", 404, "notFound", "The specified bucket does not exist."},
		{"no bucket, list", good, "GET", "/storage/v1/b/nowhere/o", 404, "notFound", "The specified bucket does not exist."},
		{"no bucket, upload", good, "POST", "/upload/storage/v1/b/nowhere/o?uploadType=media&name=n", 404, "notFound", "bucket"},
		{"no such generation", good, "GET", object("o") + "?generation=1", 404, "notFound", "No such object"},
		{"no such call", good, "GET", object("o") + "/acl", 404, "notFound", ""},
		{"condition", good, "DELETE", object("o") + "?ifGenerationMatch=1", 412, "conditionNotMet",
			"At least one of the pre-conditions you specified did not hold."},
		{"condition that is no number", good, "GET", object("o") + "?ifGenerationMatch=x", 400, "invalid", "ifGenerationMatch"},
		{"no name", good, "POST", "/upload/storage/v1/b/" + testBucket + "/o?uploadType=media", 400, "required", "name"},
		{"page token", good, "GET", "/storage/v1/b/" + testBucket + "/o?pageToken=%21", 400, "invalid", "pageToken"},
		{"glob", good, "GET", "/storage/v1/b/" + testBucket + "/o?matchGlob=*", 400, "invalid", "matchGlob"},
		{"soft-deleted objects", good, "GET", "/storage/v1/b/" + testBucket + "/o?softDeleted=true", 400, "invalid", "softDeleted"},
		{"full bucket", good, "DELETE", "/storage/v1/b/" + testBucket, 409, "conflict", "not empty"},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, body := ask(t, c.client, c.method, srv.URL+c.path, "")
			if resp.StatusCode != c.status {
				t.Fatalf("status %d, want %d: %s", resp.StatusCode, c.status, body)
			}
			var e struct {
				Error jsonError `json:"error"`
			}
			if err := json.Unmarshal([]byte(body), &e); err != nil {
				t.Fatalf("%v in %s", err, body)
			}
			if e.Error.Code != c.status || len(e.Error.Errors) != 1 || e.Error.Errors[0].Reason != c.reason ||
				e.Error.Errors[0].Domain != "global" || e.Error.Message != e.Error.Errors[0].Message ||
				!strings.Contains(e.Error.Message, c.detail) {
				t.Errorf("got %s, want reason %q and %q", body, c.reason, c.detail)
			}
			if challenge := resp.Header.Get("WWW-Authenticate"); (challenge != "") != (c.status == 401) {
				t.Errorf("WWW-Authenticate: %q", challenge)
			}
		})
	}
	for _, c := range []struct {
		name          string
		client        *http.Client
		method, path  string
		status        int
		code, details string
	}{
		{"unknown token", bad, "GET", testBucket + "/o", 401, "AuthenticationRequired", ""},
		{"no token", anonymous, "GET", testBucket + "/o", 403, "AccessDenied", "Anonymous caller does not have storage.objects.get access"},
		{"no permission", good, "GET", testBucket + "/secret", 403, "AccessDenied", "Permission 'storage.objects.get' denied on resource"},
		{"no object", good, "GET", testBucket + "/none", 404, "NoSuchKey", "No such object: " + testBucket + "/none"},
		{"no bucket", good, "GET", "nowhere/none", 404, "NoSuchBucket", ""},
		{"upload", good, "PUT", testBucket + "/o", 405, "MethodNotAllowed", ""},
	} {
		t.Run("xml/"+c.name, func(t *testing.T) {
			resp, body := ask(t, c.client, c.method, srv.URL+"/"+c.path, "")
			var e xmlError
			if err := xml.Unmarshal([]byte(body), &e); err != nil {
				t.Fatalf("%v in %s", err, body)
			}
			if resp.StatusCode != c.status || e.Code != c.code || e.Message == "" || !strings.Contains(e.Details, c.details) {
				t.Errorf("got %d %s, want %d %s and %q", resp.StatusCode, body, c.status, c.code, c.details)
			}
		})
	}
}

// The client's own classification of what comes: a missing object, and a refused token.
func TestStorageErrorsThroughTheClient(t *testing.T) {
	_, srv := newTestStorage(t, &StorageOptions{Authorize: func(string) error { return errors.New("expired") }})
	client := newTestClient(t, srv)
	o := client.Bucket(testBucket).Object("o")
	_, err := put(t.Context(), o, noise(1<<20), 0)
	if e := wantStatus(t, err, http.StatusUnauthorized); e.Message != "Invalid Credentials" {
		t.Errorf("message %q", e.Message)
	}
	_, _, err = get(t.Context(), o, 0, -1)
	wantStatus(t, err, http.StatusUnauthorized)

	_, open := newTestStorage(t, nil)
	client = newTestClient(t, open)
	if _, err := client.Bucket(testBucket).Object("none").Attrs(t.Context()); !errors.Is(err, storage.ErrObjectNotExist) {
		t.Errorf("missing object: %v", err)
	}
	_, err = put(t.Context(), client.Bucket(testBucket).Object("o").Key(noise(32)), nil, 0)
	wantStatus(t, err, http.StatusBadRequest)
	if _, err := client.Bucket("nowhere").Attrs(t.Context()); !errors.Is(err, storage.ErrBucketNotExist) {
		t.Errorf("missing bucket: %v", err)
	}
}

func TestStorageBuckets(t *testing.T) {
	_, srv := newTestStorage(t, nil)
	client := newTestClient(t, srv)
	b := client.Bucket("bucket-2")
	if err := b.Create(t.Context(), "project", nil); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, b.Create(t.Context(), "project", nil), http.StatusConflict)
	wantStatus(t, client.Bucket("No").Create(t.Context(), "project", nil), http.StatusBadRequest)
	if attrs, err := b.Attrs(t.Context()); err != nil || attrs.Name != "bucket-2" || attrs.Created.IsZero() {
		t.Errorf("attributes: %+v, %v", attrs, err)
	}
	var names []string
	for it := client.Buckets(t.Context(), "project"); ; {
		attrs, err := it.Next()
		if err != nil {
			break
		}
		names = append(names, attrs.Name)
	}
	if got := strings.Join(names, " "); got != "bucket-1 bucket-2" {
		t.Errorf("buckets: %s", got)
	}
	if err := b.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Attrs(t.Context()); !errors.Is(err, storage.ErrBucketNotExist) {
		t.Errorf("deleted bucket: %v", err)
	}

	auto, srv := newTestStorage(t, &StorageOptions{AutoCreate: true})
	mustPut(t, newTestClient(t, srv).Bucket("sprung-up").Object("o"), []byte("x"))
	if got := auto.Objects("sprung-up"); len(got) != 1 {
		t.Errorf("objects: %v", got)
	}
}

func TestStorageMemoryIsBounded(t *testing.T) {
	_, srv := newTestStorage(t, &StorageOptions{Memory: 1 << 20})
	client := newTestClient(t, srv)
	b := client.Bucket(testBucket)
	mustPut(t, b.Object("a"), noise(900<<10))
	_, err := put(t.Context(), b.Object("b"), noise(200<<10), 0)
	if e := wantStatus(t, err, http.StatusRequestEntityTooLarge); storage.ShouldRetry(e) {
		t.Error("the client would try again")
	}
	_, err = put(t.Context(), b.Object("b"), noise(600<<10), 256<<10)
	wantStatus(t, err, http.StatusRequestEntityTooLarge)
	if _, err := b.Object("c").CopierFrom(b.Object("a")).Run(t.Context()); err == nil {
		t.Error("a copy that does not fit was made")
	}
	if err := b.Object("a").Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustPut(t, b.Object("b"), noise(700<<10))
}

// A refused upload is read to its end, or the client may lose its connection before it has the answer.
func TestStorageReadsWhatItRefuses(t *testing.T) {
	s := NewStorage(nil)
	body := strings.NewReader(strings.Repeat("x", 5<<20))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("POST", "/upload/storage/v1/b/nowhere/o?uploadType=media&name=o", body))
	if w.Code != http.StatusNotFound || body.Len() != 0 {
		t.Errorf("status %d with %d bytes unread", w.Code, body.Len())
	}
}
