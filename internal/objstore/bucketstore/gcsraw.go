package bucketstore

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"

	"google.golang.org/api/googleapi"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/transport"
)

// rawGCS sends what carries bytes itself, through the same authorised client as all else. The storage client passes an upload through a pipe
// and net/http as chunks of unknown length, which costs both sides, and a download through readers of its own.
type rawGCS struct {
	client   *http.Client
	endpoint url.URL // of the JSON API, ends in a slash
	bucket   string
	noBatch  atomic.Bool // the server has shown that it knows no batches
}

func newRawGCS(client *http.Client, endpoint, bucket string) (*rawGCS, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	return &rawGCS{client: client, endpoint: *u, bucket: bucket}, nil
}

// googleEndpoint is what the storage client would choose. It is spelled out, and handed to it, so that both speak to the same host.
func googleEndpoint() string {
	if host := os.Getenv("STORAGE_EMULATOR_HOST"); host != "" {
		if !strings.Contains(host, "://") {
			host = "http://" + host
		}
		return strings.TrimSuffix(host, "/") + "/storage/v1/"
	}
	return "https://storage." + cmp.Or(os.Getenv("GOOGLE_CLOUD_UNIVERSE_DOMAIN"), "googleapis.com") + "/storage/v1/"
}

// at is the URL of a path whose last element is escaped whole, slashes too.
func (g *rawGCS) at(path, last, query string) *url.URL {
	u := g.endpoint
	u.Path, u.RawPath, u.RawQuery = path+last, path+url.PathEscape(last), query
	return &u
}

func (g *rawGCS) do(ctx context.Context, r *http.Request) (*http.Response, error) {
	r.Header.Set("User-Agent", "tidemark")
	resp, err := g.client.Do(r.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer func() { _ = resp.Body.Close() }() // only frees the connection
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxErrorBody), resp.Body}
	return nil, cmp.Or(googleapi.CheckResponse(resp), errForeign)
}

// put stores body in one request that declares its length and its checksum.
//
// It is a multipart upload, https://cloud.google.com/storage/docs/uploading-objects#upload-object-json: the object's resource, whose crc32c
// is compared with what arrives (https://cloud.google.com/storage/docs/data-validation, "server-side validation": otherwise 400 and nothing is
// stored), then the bytes. A media upload would need no envelope, but has no place for a checksum that is documented: X-Goog-Hash is not
// among the headers of the JSON API (https://cloud.google.com/storage/docs/json_api/v1/parameters).
func (g *rawGCS) put(ctx context.Context, name string, body []byte, crc32c uint32, cond objstore.Version) (objstore.Version, error) {
	expected, err := generationOrAbsent(cond)
	if err != nil {
		return objstore.Absent, err
	}
	resource, err := json.Marshal(map[string]string{
		"name": name, "contentType": octets, "crc32c": encodeCRC(crc32c),
	})
	if err != nil {
		return objstore.Absent, err
	}
	boundary := rand.Text() // 130 random bits: no body holds it
	head := fmt.Appendf(nil, "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n%s\r\n--%s\r\nContent-Type: %s\r\n\r\n", boundary, resource, boundary, octets)
	tail := fmt.Appendf(nil, "\r\n--%s--\r\n", boundary)
	query := url.Values{
		"uploadType": {"multipart"}, "name": {name}, "ifGenerationMatch": {strconv.FormatInt(expected, 10)},
		"fields": {"generation"}, "alt": {"json"}, "prettyPrint": {"false"},
	}
	r := &http.Request{
		Method: http.MethodPost, URL: g.at("/upload/storage/v1/b/"+g.bucket+"/", "o", query.Encode()),
		Header: http.Header{"Content-Type": {"multipart/related; boundary=" + boundary}},
	}
	payload := transport.NewPayload(head, body, tail)
	payload.Attach(r)
	defer payload.Release()
	resp, err := g.do(ctx, r)
	if err != nil {
		return objstore.Absent, err
	}
	defer func() { _ = resp.Body.Close() }() // before the Release above
	var stored struct {
		Generation int64 `json:",string"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxErrorBody)).Decode(&stored); err != nil {
		return objstore.Absent, err
	}
	if stored.Generation <= 0 {
		return objstore.Absent, errForeign
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxErrorBody)) // to its end, or the connection could not be used again
	return generation(stored.Generation), nil
}

const octets = "application/octet-stream"

// get starts to read an object, from off on and n bytes if n is positive.
func (g *rawGCS) get(ctx context.Context, name string, off, n int64) (*http.Response, objstore.Info, error) {
	r := &http.Request{
		Method: http.MethodGet, URL: g.at(g.endpoint.Path+"b/"+g.bucket+"/o/", name, "alt=media"), Header: http.Header{},
	}
	if n > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	}
	resp, err := g.do(ctx, r)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	info, err := described(resp, off, n)
	if err != nil {
		_ = resp.Body.Close() // unread, so that the connection is closed too
		return nil, objstore.Info{}, err
	}
	return resp, info, nil
}

// described makes sure that an answer is the storage API's and what was asked for.
func described(resp *http.Response, off, n int64) (objstore.Info, error) {
	h := resp.Header
	for _, encoding := range []string{h.Get("Content-Encoding"), h.Get("X-Goog-Stored-Content-Encoding")} {
		if encoding != "" && !strings.EqualFold(encoding, "identity") || resp.Uncompressed {
			return objstore.Info{}, errEncoded
		}
	}
	info := objstore.Info{Size: resp.ContentLength, Version: google{}.version(h)}
	if info.Version == objstore.Absent || resp.ContentLength < 0 {
		return objstore.Info{}, errForeign
	}
	info.CRC32C, info.HasCRC32C = google{}.crc32c(h)
	switch {
	case n <= 0 && resp.StatusCode == http.StatusOK:
		return info, nil
	case n <= 0:
		return info, errForeign
	case off == 0 && resp.StatusCode == http.StatusOK && info.Size <= n: // the range is the whole object, and the server says it like that
		return info, nil
	}
	size, err := rangeOf(resp, off)
	if err != nil {
		return info, err
	}
	if resp.ContentLength != min(n, size-off) {
		return info, fmt.Errorf("%w: it has %d bytes of the range", errForeign, resp.ContentLength)
	}
	info.Size = size
	return info, nil
}

// generationOrAbsent is a version as ifGenerationMatch takes it: 0 stands for an object that does not exist.
func generationOrAbsent(cond objstore.Version) (int64, error) {
	if cond == objstore.Absent {
		return 0, nil
	}
	g, err := strconv.ParseInt(string(cond), 10, 64)
	if err != nil || g <= 0 {
		return 0, &objstore.Error{Kind: objstore.KindPrecondition, Err: fmt.Errorf("%q is no version of this store", cond)}
	}
	return g, nil
}
