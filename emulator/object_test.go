package emulator

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"net/http"
	"strconv"
	"testing"

	"cloud.google.com/go/storage"
	"google.golang.org/api/option"
)

func TestObjectRanges(t *testing.T) {
	_, srv := newTestStorage(t, nil)
	const size = 5<<20 + 100 // several segments
	body := noise(size)
	attrs := mustPut(t, newTestClient(t, srv).Bucket(testBucket).Object("o"), body)
	mustPut(t, newTestClient(t, srv).Bucket(testBucket).Object("empty"), nil)
	hc := newHTTPClient(t, "")
	for _, path := range []string{"/" + testBucket + "/", "/storage/v1/b/" + testBucket + "/o/", "/download/storage/v1/b/" + testBucket + "/o/"} {
		for _, c := range []struct {
			object, spec string
			status       int
			from, to     int
		}{
			{"o", "", 200, 0, size},
			{"o", "bytes=0-0", 206, 0, 1},
			{"o", "bytes=10-19", 206, 10, 20},
			{"o", "bytes=1048570-2097160", 206, 1048570, 2097161},
			{"o", "bytes=100-", 206, 100, size},
			{"o", "bytes=-100", 206, size - 100, size},
			{"o", "bytes=-9999999", 206, 0, size},
			{"o", fmt.Sprintf("bytes=%d-99999999", size-1), 206, size - 1, size},
			{"o", fmt.Sprintf("bytes=%d-", size), 416, 0, 0},
			{"o", "bytes=-0", 416, 0, 0},
			{"o", "bytes=5-4", 200, 0, size},
			{"o", "bytes=0-1,5-6", 200, 0, size},
			{"o", "bytes=x-", 200, 0, size},
			{"o", "bytes=-", 200, 0, size},
			{"o", "items=0-1", 200, 0, size},
			{"empty", "", 200, 0, 0},
			{"empty", "bytes=0-", 416, 0, 0},
			{"empty", "bytes=-1", 416, 0, 0},
		} {
			t.Run(path+c.object+" "+c.spec, func(t *testing.T) {
				resp, got := ask(t, hc, "GET", srv.URL+path+c.object+"?alt=media", "", "Range", c.spec)
				if resp.StatusCode != c.status {
					t.Fatalf("status %s, want %d", resp.Status, c.status)
				}
				if c.status == 416 {
					return
				}
				want := body[c.from:c.to]
				if got != string(want) {
					t.Errorf("%d bytes that are not those of the range", len(got))
				}
				var contentRange string
				if c.status == 206 {
					contentRange = fmt.Sprintf("bytes %d-%d/%d", c.from, c.to-1, size)
				}
				if got := resp.Header.Get("Content-Range"); got != contentRange {
					t.Errorf("Content-Range %q, want %q", got, contentRange)
				}
				if resp.ContentLength != int64(len(want)) {
					t.Errorf("Content-Length %d", resp.ContentLength)
				}
				// The checksum and the size are the whole object's, whatever the range.
				if h := resp.Header; c.object == "o" && (h.Get("X-Goog-Generation") != strconv.FormatInt(attrs.Generation, 10) ||
					h.Get("X-Goog-Hash") != "crc32c="+encodeCRC(crc32.Checksum(body, castagnoli)) ||
					h.Get("X-Goog-Stored-Content-Length") != strconv.Itoa(size) || h.Get("X-Goog-Metageneration") != "1") {
					t.Errorf("headers %v", h)
				}
			})
		}
	}
}

func TestObjectRangesThroughTheClient(t *testing.T) {
	_, srv := newTestStorage(t, nil)
	body := noise(1 << 20)
	for _, opts := range [][]option.ClientOption{nil, {storage.WithJSONReads()}} {
		o := newTestClient(t, srv, opts...).Bucket(testBucket).Object("a/b c")
		attrs := mustPut(t, o, body)
		for _, c := range []struct{ off, n, from, to int64 }{
			{0, -1, 0, 1 << 20}, {0, 10, 0, 10}, {1000, 5000, 1000, 6000}, {-100, -1, 1<<20 - 100, 1 << 20}, {1<<20 - 5, 100, 1<<20 - 5, 1 << 20}, {7, 0, 7, 7},
		} {
			got, r, err := get(t.Context(), o.Generation(attrs.Generation), c.off, c.n)
			if err != nil || !bytes.Equal(got, body[c.from:c.to]) {
				t.Errorf("range %d+%d: %d bytes, %v", c.off, c.n, len(got), err)
			}
			if r != nil && r.Attrs.Size != 1<<20 && c.n != 0 {
				t.Errorf("range %d+%d: size %d", c.off, c.n, r.Attrs.Size)
			}
		}
		_, _, err := get(t.Context(), o, 1<<20, 1)
		wantStatus(t, err, http.StatusRequestedRangeNotSatisfiable)
	}
}

func TestObjectConditions(t *testing.T) {
	s, srv := newTestStorage(t, nil)
	client := newTestClient(t, srv)
	hc := newHTTPClient(t, "")
	const g, other = "<generation>", "12345"
	media := "/storage/v1/b/" + testBucket + "/o/o?alt=media&"
	stat := "/storage/v1/b/" + testBucket + "/o/o?"
	upload := "/upload/storage/v1/b/" + testBucket + "/o?uploadType=media&name="
	rewrite := "/storage/v1/b/" + testBucket + "/o/o/rewriteTo/b/" + testBucket + "/o/copy?"
	compose := "/storage/v1/b/" + testBucket + "/o/composed/compose?"
	sources := func(fields string) string { return `{"sourceObjects":[{"name":"o"` + fields + `}]}` }
	for _, c := range []struct {
		method, path, query, body string
		status                    int
	}{
		{"GET", media, "ifGenerationMatch=" + g, "", 200},
		{"GET", media, "ifGenerationMatch=" + other, "", 412},
		{"GET", media, "ifGenerationMatch=0", "", 412},
		{"GET", media, "ifGenerationNotMatch=" + g, "", 304},
		{"GET", media, "ifGenerationNotMatch=" + other, "", 200},
		{"GET", media, "ifMetagenerationMatch=1", "", 200},
		{"GET", media, "ifMetagenerationMatch=2", "", 412},
		{"GET", media, "ifMetagenerationNotMatch=1", "", 304},
		{"GET", media, "ifMetagenerationNotMatch=2", "", 200},
		{"GET", media, "generation=" + g, "", 200},
		{"GET", media, "generation=" + other, "", 404},
		{"GET", stat, "ifGenerationMatch=" + other, "", 412},
		{"GET", stat, "ifGenerationNotMatch=" + g, "", 304},
		{"GET", stat, "ifMetagenerationNotMatch=1", "", 304},
		{"GET", stat, "generation=" + other, "", 404},
		{"POST", upload + "o&", "ifGenerationMatch=0", "new", 412},
		{"POST", upload + "o&", "ifGenerationMatch=" + other, "new", 412},
		{"POST", upload + "o&", "ifGenerationMatch=" + g, "new", 200},
		{"POST", upload + "o&", "ifGenerationNotMatch=" + g, "new", 412},
		{"POST", upload + "o&", "ifGenerationNotMatch=0", "new", 200},
		{"POST", upload + "o&", "ifMetagenerationMatch=7", "new", 412},
		{"POST", upload + "o&", "ifMetagenerationMatch=1", "new", 200},
		{"POST", upload + "o&", "ifMetagenerationNotMatch=1", "new", 412},
		{"POST", upload + "fresh&", "ifGenerationMatch=0", "new", 200},
		{"POST", upload + "fresh&", "ifGenerationMatch=" + g, "new", 412},
		{"POST", upload + "fresh&", "ifGenerationNotMatch=0", "new", 412},
		{"POST", upload + "fresh&", "ifMetagenerationMatch=1", "new", 412},
		{"DELETE", stat, "ifGenerationMatch=" + other, "", 412},
		{"DELETE", stat, "ifGenerationMatch=" + g, "", 204},
		{"DELETE", stat, "ifGenerationNotMatch=" + g, "", 412},
		{"DELETE", stat, "ifMetagenerationMatch=2", "", 412},
		{"DELETE", stat, "ifMetagenerationNotMatch=1", "", 412},
		{"DELETE", stat, "generation=" + other, "", 404},
		{"DELETE", stat, "generation=" + g, "", 204},
		{"PATCH", stat, "ifMetagenerationMatch=2", "{}", 412},
		{"PATCH", stat, "ifMetagenerationMatch=1", "{}", 200},
		{"PATCH", stat, "ifGenerationMatch=" + other, "{}", 412},
		{"POST", rewrite, "ifGenerationMatch=0", "", 200},
		{"POST", rewrite, "ifGenerationMatch=" + other, "", 412},
		{"POST", rewrite, "ifSourceGenerationMatch=" + g, "", 200},
		{"POST", rewrite, "ifSourceGenerationMatch=" + other, "", 412},
		{"POST", rewrite, "ifSourceMetagenerationMatch=2", "", 412},
		{"POST", rewrite, "sourceGeneration=" + other, "", 404},
		{"POST", compose, "ifGenerationMatch=0", sources(""), 200},
		{"POST", compose, "ifGenerationMatch=" + other, sources(""), 412},
		{"POST", compose, "", sources(`,"generation":"` + other + `"`), 404},
		{"POST", compose, "", sources(`,"generation":"` + g + `"`), 200},
		{"POST", compose, "", sources(`,"objectPreconditions":{"ifGenerationMatch":"` + other + `"}`), 412},
		{"POST", compose, "", sources(`,"objectPreconditions":{"ifGenerationMatch":"` + g + `"}`), 200},
		{"POST", compose, "", `{"sourceObjects":[]}`, 400},
		{"GET", "/storage/v1/b/" + testBucket + "/o/fresh?", "ifGenerationMatch=0", "", 404},
	} {
		t.Run(c.method+" "+c.path+c.query+" "+c.body, func(t *testing.T) {
			for _, o := range s.Objects(testBucket) {
				if err := s.remove(testBucket, o.Name, &conditions{}); err != nil {
					t.Fatal(err)
				}
			}
			generation := strconv.FormatInt(mustPut(t, client.Bucket(testBucket).Object("o"), []byte("old")).Generation, 10)
			fill := func(s string) string { return string(bytes.ReplaceAll([]byte(s), []byte(g), []byte(generation))) }
			before := s.Objects(testBucket)
			resp, text := ask(t, hc, c.method, srv.URL+c.path+fill(c.query), fill(c.body))
			if resp.StatusCode != c.status {
				t.Fatalf("status %s, want %d: %s", resp.Status, c.status, text)
			}
			if after := s.Objects(testBucket); c.status >= 300 && (len(after) != 1 || after[0] != before[0]) {
				t.Errorf("a refused request changed %v to %v", before, after)
			}
		})
	}
}

// The XML API has preconditions in headers, and HTTP its own.
func TestObjectConditionHeaders(t *testing.T) {
	s, srv := newTestStorage(t, nil)
	attrs := mustPut(t, newTestClient(t, srv).Bucket(testBucket).Object("o"), []byte("x"))
	generation := strconv.FormatInt(attrs.Generation, 10)
	o, err := s.find(testBucket, "o", &conditions{})
	if err != nil {
		t.Fatal(err)
	}
	hc := newHTTPClient(t, "")
	for _, method := range []string{"GET", "HEAD"} {
		for _, c := range []struct {
			name, value string
			status      int
		}{
			{"X-Goog-If-Generation-Match", generation, 200},
			{"X-Goog-If-Generation-Match", "1", 412},
			{"X-Goog-If-Generation-Match", "one", 400},
			{"X-Goog-If-Metageneration-Match", "1", 200},
			{"X-Goog-If-Metageneration-Match", "2", 412},
			{"If-Match", `"-` + o.etag() + `"`, 200},
			{"If-Match", `"other"`, 412},
			{"If-Match", "*", 200},
			{"If-None-Match", `"-` + o.etag() + `"`, 304},
			{"If-None-Match", `W/"a", "b"`, 200},
			{"If-None-Match", o.etag(), 304},
		} {
			resp, _ := ask(t, hc, method, srv.URL+"/"+testBucket+"/o", "", c.name, c.value)
			if resp.StatusCode != c.status {
				t.Errorf("%s with %s %s: %s, want %d", method, c.name, c.value, resp.Status, c.status)
			}
		}
	}
	handle := newTestClient(t, srv).Bucket(testBucket).Object("o")
	_, _, err = get(t.Context(), handle.If(storage.Conditions{GenerationMatch: 1}), 0, -1)
	wantStatus(t, err, http.StatusPreconditionFailed)
	if _, _, err := get(t.Context(), handle.Generation(1), 0, -1); !errors.Is(err, storage.ErrObjectNotExist) {
		t.Errorf("other generation: %v", err)
	}
}

func TestObjectAttributes(t *testing.T) {
	_, srv := newTestStorage(t, nil)
	o := newTestClient(t, srv).Bucket(testBucket).Object("dir/o")
	w := o.NewWriter(t.Context())
	w.ChunkSize = 0
	w.ContentType, w.CacheControl, w.ContentLanguage = "text/html", "no-store", "de"
	w.ContentDisposition = "attachment"
	w.Metadata = map[string]string{"keep": "1", "drop": "2"}
	if _, err := w.Write([]byte("body")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	attrs, err := o.Attrs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if attrs.ContentType != "text/html" || attrs.CacheControl != "no-store" || attrs.ContentLanguage != "de" ||
		attrs.ContentDisposition != "attachment" || !maps.Equal(attrs.Metadata, w.Metadata) || attrs.Size != 4 ||
		attrs.StorageClass != "STANDARD" || attrs.Created.IsZero() || attrs.Etag == "" || attrs.Metageneration != 1 ||
		attrs.Generation != w.Attrs().Generation || attrs.CRC32C != crc32.Checksum([]byte("body"), castagnoli) || len(attrs.MD5) != 0 {
		t.Errorf("attributes %+v", attrs)
	}
	updated, err := o.If(storage.Conditions{MetagenerationMatch: 1}).Update(t.Context(), storage.ObjectAttrsToUpdate{
		ContentType: "", CacheControl: "private", Metadata: map[string]string{"more": "3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if updated.ContentType != "" || updated.CacheControl != "private" || updated.ContentLanguage != "de" || updated.Metageneration != 2 ||
		updated.Generation != attrs.Generation || !maps.Equal(updated.Metadata, map[string]string{"keep": "1", "drop": "2", "more": "3"}) ||
		updated.Etag == attrs.Etag {
		t.Errorf("after the update: %+v", updated)
	}
	hc := newHTTPClient(t, "")
	if resp, text := ask(t, hc, "PATCH", srv.URL+"/storage/v1/b/"+testBucket+"/o/dir%2Fo", `{"metadata":{"drop":null}}`); resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, text)
	}
	if resp, _ := ask(t, hc, "PATCH", srv.URL+"/storage/v1/b/"+testBucket+"/o/dir%2Fo", `{"contentType":1}`); resp.StatusCode != 400 {
		t.Errorf("a content type that is a number: %s", resp.Status)
	}
	got, r, err := get(t.Context(), o, 0, -1)
	if err != nil || string(got) != "body" {
		t.Fatalf("%q, %v", got, err)
	}
	if !maps.Equal(r.Metadata(), map[string]string{"Keep": "1", "More": "3"}) || r.Attrs.CacheControl != "private" || r.Attrs.Metageneration != 3 {
		t.Errorf("reader: %+v, %v", r.Attrs, r.Metadata())
	}
	if cleared, err := o.Update(t.Context(), storage.ObjectAttrsToUpdate{Metadata: map[string]string{}}); err != nil || len(cleared.Metadata) != 0 {
		t.Errorf("cleared: %+v, %v", cleared, err)
	}
}

func TestObjectCopyAndCompose(t *testing.T) {
	s, srv := newTestStorage(t, nil)
	if err := s.CreateBucket("bucket-2"); err != nil {
		t.Fatal(err)
	}
	client := newTestClient(t, srv)
	b := client.Bucket(testBucket)
	body := noise(300 << 10)
	w := b.Object("a").NewWriter(t.Context())
	w.ContentType = "text/plain"
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	mustPut(t, b.Object("b"), []byte("tail"))

	to := client.Bucket("bucket-2").Object("x/y")
	copied, err := to.CopierFrom(b.Object("a")).Run(t.Context())
	if err != nil || copied.ContentType != "text/plain" || copied.Generation <= w.Attrs().Generation || copied.Bucket != "bucket-2" {
		t.Fatalf("copy: %+v, %v", copied, err)
	}
	c := to.CopierFrom(b.Object("a"))
	c.ContentType = "text/other"
	if again, err := c.Run(t.Context()); err != nil || again.ContentType != "text/other" || again.Generation <= copied.Generation {
		t.Errorf("copy with attributes: %+v, %v", again, err)
	}
	if _, err := to.CopierFrom(b.Object("none")).Run(t.Context()); !errors.Is(err, storage.ErrObjectNotExist) {
		t.Errorf("copy of nothing: %v", err)
	}

	whole := append(bytes.Clone(body), "tail"...)
	composer := b.Object("ab").ComposerFrom(b.Object("a"), b.Object("b"))
	composer.CRC32C, composer.SendCRC32C = crc32.Checksum(whole, castagnoli), true
	composed, err := composer.Run(t.Context())
	if err != nil || composed.Size != int64(len(whole)) || composed.ComponentCount != 2 || composed.CRC32C != composer.CRC32C {
		t.Fatalf("composed: %+v, %v", composed, err)
	}
	composer = b.Object("wrong").ComposerFrom(b.Object("a"))
	composer.CRC32C, composer.SendCRC32C = 1, true
	_, err = composer.Run(t.Context())
	wantStatus(t, err, http.StatusBadRequest)

	twice := b.Object("ab").ComposerFrom(b.Object("ab"), b.Object("b"))
	if composed, err = twice.Run(t.Context()); err != nil || composed.ComponentCount != 3 {
		t.Fatalf("composed onto itself: %+v, %v", composed, err)
	}
	for _, o := range []*storage.ObjectHandle{b.Object("a"), b.Object("b")} { // what is made of them stays
		if err := o.Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got, _, err := get(t.Context(), b.Object("ab"), 0, -1); err != nil || !bytes.Equal(got, append(whole, "tail"...)) {
		t.Errorf("composed content: %d bytes, %v", len(got), err)
	}
	if got, _, err := get(t.Context(), to, 0, -1); err != nil || !bytes.Equal(got, body) {
		t.Errorf("copied content: %d bytes, %v", len(got), err)
	}
	many := make([]*storage.ObjectHandle, 0, maxComponents)
	for range maxComponents {
		many = append(many, b.Object("ab"))
	}
	if composed, err = b.Object("many").ComposerFrom(many...).Run(t.Context()); err != nil || composed.ComponentCount != 3*maxComponents {
		t.Errorf("composed of many: %+v, %v", composed, err)
	}
	var sum int64
	for _, bucket := range []string{testBucket, "bucket-2"} {
		for _, o := range s.Objects(bucket) {
			sum += o.Size
		}
	}
	if used := s.memory.used.Load(); used != sum {
		t.Errorf("budget counts %d bytes, the objects have %d", used, sum)
	}
}
