package bucketstore

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidemark-go/tidemark/emulator"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// batchStores are stores with batches on one server, which refuses to delete what is called held, and whose answers change may change.
func batchStores(t *testing.T, change func(http.Handler) http.Handler) map[string]objstore.Store {
	t.Helper()
	stores := map[string]objstore.Store{}
	for _, name := range []string{"GCS", "S3"} {
		o := &emulator.StorageOptions{AutoCreate: true, Forbid: func(_, _, object string) (string, bool) { return "", strings.HasSuffix(object, "held") }}
		if name == "S3" {
			o.S3 = &emulator.S3Options{Keys: map[string]string{keyID: secret}}
		}
		h := emulator.NewStorage(o)
		srv := httptest.NewServer(change(h))
		var err error
		if name == "GCS" {
			stores[name], err = OpenGCS(t.Context(), nil, "acme", &Options{Endpoint: srv.URL, Prefix: "gs"})
		} else {
			stores[name], err = OpenS3(t.Context(), nil, "acme", &S3Options{Endpoint: srv.URL, Prefix: "s3", Credentials: keys(secret)})
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := stores[name].Close(); err != nil {
				t.Error(err)
			}
			srv.Close()
			_ = h.Close()
		})
	}
	return stores
}

// batched counts the batches that arrive, and lets answer take the place of the server's.
func batched(n *atomic.Int32, answer func(w http.ResponseWriter, r *http.Request, next http.Handler)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/batch/storage/v1" || r.URL.Query().Has("delete") {
				n.Add(1)
				answer(w, r, next)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

func pass(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) }

func TestBatchTellsOfEachKey(t *testing.T) {
	var n atomic.Int32
	for name, s := range batchStores(t, batched(&n, pass)) {
		n.Store(0)
		for _, key := range []string{"a", "b", "c"} {
			if _, err := s.Put(t.Context(), key, nil, objstore.Absent); err != nil {
				t.Fatal(name, err)
			}
		}
		failed := objstore.NewRetrying(s, nil).DeleteAll(t.Context(), []string{"a", "held", "b", "none"})
		var e *objstore.Error
		if len(failed) != 1 || !errors.As(failed["held"], &e) || e.Kind != objstore.KindPermission || e.Key != "held" || !strings.Contains(strings.ToLower(e.Permission), "delete") {
			t.Errorf("%s: %v", name, failed)
		}
		var left []string
		for info, err := range s.List(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			left = append(left, info.Key)
		}
		if !slices.Equal(left, []string{"c"}) || n.Load() != 1 {
			t.Errorf("%s: %q are left after %d batches", name, left, n.Load())
		}
	}
}

// TestBatchAnswersThatAreNone: no key counts as deleted on the word of somebody else, or of half an answer.
func TestBatchAnswersThatAreNone(t *testing.T) {
	for what, answer := range map[string]func(w http.ResponseWriter, r *http.Request, next http.Handler){
		"a page": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", html)
			_, _ = io.WriteString(w, page)
		},
		"nothing": func(http.ResponseWriter, *http.Request, http.Handler) {},
		"an empty XML": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Type", xmlText)
			_, _ = io.WriteString(w, "<DeleteResult/>")
		},
		"half of it": func(w http.ResponseWriter, r *http.Request, next http.Handler) {
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
			_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
		},
	} {
		var n atomic.Int32
		for name, s := range batchStores(t, batched(&n, answer)) {
			failed := objstore.NewRetrying(s, &objstore.RetryOptions{MaxElapsed: -1}).DeleteAll(t.Context(), []string{"a", "b", "c", "d"})
			if len(failed) < 2 {
				t.Errorf("%s: after %s only %v failed", name, what, failed)
			}
			for key, err := range failed {
				if objstore.KindOf(err) != objstore.KindUnavailable {
					t.Errorf("%s: %s: %s: %v", name, what, key, err)
				}
			}
		}
	}
}

// TestServersWithoutBatches are asked once, and then key by key.
func TestServersWithoutBatches(t *testing.T) {
	for status, body := range map[int]string{404: "404 page not found\n", 405: "", 501: "<Error><Code>NotImplemented</Code></Error>"} {
		var n atomic.Int32
		for name, s := range batchStores(t, batched(&n, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})) {
			if name == "S3" && status == 404 {
				continue // there a batch goes to the bucket itself: it does not exist
			}
			n.Store(0)
			r := objstore.NewRetrying(s, nil)
			for i := range 3 {
				key := fmt.Sprint("k", i)
				if _, err := s.Put(t.Context(), key, nil, objstore.Absent); err != nil {
					t.Fatal(err)
				}
				if failed := r.DeleteAll(t.Context(), []string{key, "none"}); len(failed) != 0 {
					t.Errorf("%s, %d: %v", name, status, failed)
				}
				if _, err := s.Stat(t.Context(), key); objstore.KindOf(err) != objstore.KindNotFound {
					t.Errorf("%s, %d: %v", name, status, err)
				}
			}
			if n.Load() != 1 || r.BatchSize() != 1 {
				t.Errorf("%s, %d: asked for batches %d times, size %d", name, status, n.Load(), r.BatchSize())
			}
		}
	}
}

// TestBatchWhoseTokenEnded: the refusal of a call inside an answer of 200 is settled by a request of its own, whose 401 a credentials transport sees.
func TestBatchWhoseTokenEnded(t *testing.T) {
	const unauthorized = "--x\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n\r\n"
	singles := 0
	s := openFake(t, roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodDelete {
			singles++
			return respond(r, 204, "", ""), nil
		}
		return respond(r, 200, "multipart/mixed; boundary=x", unauthorized+unauthorized+"--x--\r\n"), nil
	}))
	if failed, err := s.DeleteBatch(t.Context(), []string{"a", "b"}); err != nil || len(failed) != 0 || singles != 2 {
		t.Errorf("%v, %v, %d single deletions", failed, err, singles)
	}
}

// TestBatchThrottledInPart: the keys that were throttled are sent again, and they alone.
func TestBatchThrottledInPart(t *testing.T) {
	part := func(status, id string) string {
		return "--x\r\nContent-Type: application/http\r\nContent-ID: <response-" + id + ">\r\n\r\nHTTP/1.1 " + status + "\r\nContent-Length: 0\r\n\r\n\r\n"
	}
	var bodies []string
	s := openFake(t, roundTripperRaw(func(r *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		bodies = append(bodies, string(b))
		if len(bodies) == 1 {
			return respond(r, 200, "multipart/mixed; boundary=x", part("204 No Content", "1")+part("429 Too Many Requests", "2")+part("204 No Content", "3")+"--x--\r\n"), nil
		}
		return respond(r, 204, "", ""), nil
	}))
	if failed, err := s.DeleteBatch(t.Context(), []string{"a", "b", "c"}); err != nil || len(failed) != 1 || objstore.KindOf(failed["b"]) != objstore.KindThrottled {
		t.Errorf("%v, %v", failed, err)
	}
	if strings.Count(bodies[0], "DELETE /storage/v1/b/acme/o/") != 3 || !strings.Contains(bodies[0], "/o/b HTTP/1.1\r\n") {
		t.Errorf("sent %s", bodies[0])
	}
}

// TestBatchOfS3ThatMissesKeys: some servers report what is absent as an error; it is deleted all the same.
func TestBatchOfS3ThatMissesKeys(t *testing.T) {
	s, err := OpenS3(t.Context(), &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		return respond(r, 200, xmlText, `<DeleteResult><Error><Key>a</Key><Code>NoSuchKey</Code></Error><Error><Key>b</Key><Code>SlowDown</Code></Error>
			<Error><Key>c</Key><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error></DeleteResult>`), nil
	})}, "acme", &S3Options{Region: "eu-west-3", Credentials: keys(secret)})
	if err != nil {
		t.Fatal(err)
	}
	failed, err := s.DeleteBatch(t.Context(), []string{"a", "b", "c"})
	if err != nil || len(failed) != 2 || objstore.KindOf(failed["b"]) != objstore.KindThrottled || objstore.KindOf(failed["c"]) != objstore.KindUnavailable {
		t.Errorf("%v, %v", failed, err)
	}
}
