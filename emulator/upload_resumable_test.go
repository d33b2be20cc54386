package emulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"cloud.google.com/go/storage"
)

func TestUploadResumable(t *testing.T) {
	const quantum = chunkQuantum
	body := noise(3*quantum + 100)
	// Every step is one request; the answer is a status and how many bytes the server has.
	type step struct {
		name         string
		from, to     int // of the body
		contentRange string
		status       int
		have         int // after a 308
	}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"at once", []step{{"all", 0, len(body), "", 200, 0}}},
		{"in chunks", []step{
			{"first", 0, quantum, "bytes 0-262143/*", 308, quantum},
			{"second", quantum, 3 * quantum, "bytes 262144-786431/*", 308, 3 * quantum},
			{"last", 3 * quantum, len(body), "bytes 786432-786531/786532", 200, 0},
		}},
		{"with an empty end", []step{
			{"all", 0, len(body), "bytes 0-786531/*", 308, 3 * quantum}, // what is over whole quanta is not kept
			{"rest", 3 * quantum, len(body), "bytes 786432-786531/786532", 200, 0},
			{"again", 0, 0, "bytes */786532", 200, 0},
		}},
		{"status", []step{
			{"nothing yet", 0, 0, "bytes */*", 308, 0},
			{"nothing yet, total", 0, 0, "bytes */786532", 308, 0},
			{"first", 0, quantum, "bytes 0-262143/786532", 308, quantum},
			{"one", 0, 0, "bytes */786532", 308, quantum},
			{"last", quantum, len(body), "bytes 262144-786531/786532", 200, 0},
			{"done", 0, 0, "bytes */*", 200, 0},
		}},
		{"resent", []step{
			{"first", 0, quantum, "bytes 0-262143/*", 308, quantum},
			{"first again", 0, quantum, "bytes 0-262143/*", 308, quantum},
			{"overlapping", 0, 2 * quantum, "bytes 0-524287/*", 308, 2 * quantum},
			{"overlapping to the end", quantum, len(body), "bytes 262144-786531/786532", 200, 0},
			{"last again", 3 * quantum, len(body), "bytes 786432-786531/786532", 200, 0},
		}},
		{"refused", []step{
			{"gap", quantum, 2 * quantum, "bytes 262144-524287/*", 400, 0},
			{"too small", 0, 100, "bytes 0-99/*", 400, 0},
			{"shorter than it says", 0, quantum - 1, "bytes 0-262143/*", 400, 0},
			{"no range", 0, quantum, "bytes 5-1/*", 400, 0},
			{"past the total", 0, quantum, "bytes 0-262143/262143", 400, 0},
			{"nothing came of it", 0, 0, "bytes */*", 308, 0},
			{"all", 0, len(body), "bytes 0-786531/786532", 200, 0},
		}},
		{"another total", []step{
			{"first", 0, quantum, "bytes 0-262143/786532", 308, quantum},
			{"other", quantum, 2 * quantum, "bytes 262144-524287/524288", 400, 0},
			{"rest", quantum, len(body), "bytes 262144-786531/*", 200, 0}, // the total is known from before
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, srv := newTestStorage(t, nil)
			hc := newHTTPClient(t, "")
			at := startResumable(t, hc, srv.URL, "ifGenerationMatch=0")
			var generation string
			for _, step := range c.steps {
				for _, no308 := range []string{"", "yes"} {
					if no308 != "" && step.status != 308 {
						continue // asking again would change what comes
					}
					var headers []string
					if step.contentRange != "" {
						headers = append(headers, "Content-Range", step.contentRange)
					}
					headers = append(headers, "X-GUploader-No-308", no308)
					resp, text := ask(t, hc, "PUT", at, string(body[step.from:step.to]), headers...)
					status := resp.StatusCode
					if no308 != "" && status == 200 && resp.Header.Get("X-Http-Status-Code-Override") == "308" {
						status = 308
					}
					if status != step.status {
						t.Fatalf("%s: status %d, want %d: %s", step.name, status, step.status, text)
					}
					var want string
					if step.have > 0 {
						want = fmt.Sprintf("bytes=0-%d", step.have-1)
					}
					if got := resp.Header.Get("Range"); got != want {
						t.Errorf("%s: Range %q, want %q", step.name, got, want)
					}
					if status == 200 {
						var o struct{ Name, Generation, Size string }
						if err := json.Unmarshal([]byte(text), &o); err != nil || o.Name != "o" || o.Size != fmt.Sprint(len(body)) {
							t.Errorf("%s: %v in %s", step.name, err, text)
						}
						if generation != "" && o.Generation != generation {
							t.Errorf("%s: generation %s, before %s", step.name, o.Generation, generation)
						}
						generation = o.Generation
					}
				}
			}
			checkStored(t, s, body)
		})
	}
}

func startResumable(t *testing.T, hc *http.Client, base, query string, headers ...string) string {
	t.Helper()
	resp, text := ask(t, hc, "POST", base+"/upload/storage/v1/b/"+testBucket+"/o?uploadType=resumable&name=o&"+query, `{"contentType":"text/x"}`, headers...)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Location") == "" {
		t.Fatalf("start: %s, Location %q: %s", resp.Status, resp.Header.Get("Location"), text)
	}
	return resp.Header.Get("Location")
}

func checkStored(t *testing.T, s *Storage, body []byte) {
	t.Helper()
	o, err := s.find(testBucket, "o", &conditions{})
	if err != nil {
		t.Fatal(err)
	}
	var stored bytes.Buffer
	if _, err := o.content.WriteTo(&stored); err != nil || !bytes.Equal(stored.Bytes(), body) {
		t.Errorf("stored %d bytes differ from the %d sent (%v)", stored.Len(), len(body), err)
	}
	if o.crc != crc32.Checksum(body, castagnoli) {
		t.Error("CRC32C is wrong")
	}
	if used := s.memory.used.Load(); used != int64(len(body)) {
		t.Errorf("budget counts %d bytes, want %d", used, len(body))
	}
}

func TestUploadResumableEnds(t *testing.T) {
	t.Run("cancelled", func(t *testing.T) {
		s, srv := newTestStorage(t, nil)
		hc := newHTTPClient(t, "")
		at := startResumable(t, hc, srv.URL, "")
		ask(t, hc, "PUT", at, string(noise(chunkQuantum)), "Content-Range", "bytes 0-262143/*")
		for _, c := range []struct {
			method string
			status int
		}{{"DELETE", 499}, {"DELETE", 499}, {"PUT", http.StatusGone}} {
			if resp, text := ask(t, hc, c.method, at, "", "Content-Range", "bytes */*"); resp.StatusCode != c.status {
				t.Errorf("%s: %s %s, want %d", c.method, resp.Status, text, c.status)
			}
		}
		if resp, _ := ask(t, hc, "PUT", strings.Replace(at, "upload_id=", "upload_id=x", 1), ""); resp.StatusCode != http.StatusNotFound {
			t.Errorf("unknown upload: %s", resp.Status)
		}
		if used := s.memory.used.Load(); used != 0 || len(s.Objects(testBucket)) != 0 {
			t.Errorf("left %d bytes and %v", used, s.Objects(testBucket))
		}
	})
	t.Run("precondition fails at the end", func(t *testing.T) {
		s, srv := newTestStorage(t, nil)
		hc := newHTTPClient(t, "")
		at := startResumable(t, hc, srv.URL, "ifGenerationMatch=0")
		mustPut(t, newTestClient(t, srv).Bucket(testBucket).Object("o"), []byte("first"))
		if resp, text := ask(t, hc, "PUT", at, "second"); resp.StatusCode != http.StatusPreconditionFailed {
			t.Errorf("%s %s", resp.Status, text)
		}
		checkStored(t, s, []byte("first"))
	})
	t.Run("rate limit leaves the upload alive", func(t *testing.T) {
		s, srv := newTestStorage(t, &StorageOptions{RateLimit: true})
		hc := newHTTPClient(t, "")
		at := startResumable(t, hc, srv.URL, "")
		mustPut(t, newTestClient(t, srv).Bucket(testBucket).Object("o"), []byte("first"))
		if resp, text := ask(t, hc, "PUT", at, "second"); resp.StatusCode != http.StatusTooManyRequests {
			t.Errorf("%s %s", resp.Status, text)
		}
		s.mu.Lock()
		clear(s.buckets[testBucket].changed) // as if a second had gone by
		s.mu.Unlock()
		if resp, text := ask(t, hc, "PUT", at, "second"); resp.StatusCode != http.StatusOK {
			t.Errorf("%s %s", resp.Status, text)
		}
		checkStored(t, s, []byte("second"))
	})
	t.Run("forgotten", func(t *testing.T) {
		s, srv := newTestStorage(t, nil)
		hc := newHTTPClient(t, "")
		at := startResumable(t, hc, srv.URL, "")
		ask(t, hc, "PUT", at, string(noise(chunkQuantum)), "Content-Range", "bytes 0-262143/*")
		for range maxSessions {
			s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", strings.TrimPrefix(at[:strings.Index(at, "&upload_id")], srv.URL), nil))
		}
		if resp, _ := ask(t, hc, "PUT", at, ""); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s", resp.Status)
		}
		if used := s.memory.used.Load(); used != 0 {
			t.Errorf("left %d bytes", used)
		}
	})
}

// What came of a chunk that broke off is kept in whole quanta, and the upload goes on from there.
func TestUploadResumesAfterABreak(t *testing.T) {
	s, srv := newTestStorage(t, nil)
	hc := newHTTPClient(t, "")
	body := noise(4*chunkQuantum + 7)
	at := startResumable(t, hc, srv.URL, "", "X-Upload-Content-Length", fmt.Sprint(len(body)))

	broken := io.MultiReader(bytes.NewReader(body[:2*chunkQuantum+1000]), iotest.ErrReader(errors.New("cable cut")))
	r, err := http.NewRequestWithContext(t.Context(), "PUT", at, broken)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = int64(len(body))
	r.Header.Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", len(body)-1, len(body)))
	if resp, err := hc.Do(r); err == nil {
		_ = resp.Body.Close()
		t.Fatalf("a request that broke off was answered %s", resp.Status)
	}
	var resp *http.Response
	for resp == nil || resp.Header.Get("Range") == "" { // the server may still be reading what was sent
		resp, _ = ask(t, hc, "PUT", at, "", "Content-Range", "bytes */*")
		if resp.StatusCode != http.StatusPermanentRedirect {
			t.Fatalf("status: %s", resp.Status)
		}
	}
	var last int
	if _, err := fmt.Sscanf(resp.Header.Get("Range"), "bytes=0-%d", &last); err != nil || (last+1)%chunkQuantum != 0 {
		t.Fatalf("Range %q: %v", resp.Header.Get("Range"), err)
	}
	rest := fmt.Sprintf("bytes %d-%d/%d", last+1, len(body)-1, len(body))
	if resp, text := ask(t, hc, "PUT", at, string(body[last+1:]), "Content-Range", rest); resp.StatusCode != http.StatusOK {
		t.Fatalf("rest: %s %s", resp.Status, text)
	}
	checkStored(t, s, body)
}

// A client that repeats a chunk whose answer it lost must not change what is stored.
func TestUploadThroughTheClientSurvivesALostReply(t *testing.T) {
	s, srv := newTestStorage(t, nil)
	chunk := 0
	hc := newHTTPClient(t, "")
	base := hc.Transport
	hc.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := base.RoundTrip(r)
		if err == nil && r.URL.Query().Has("upload_id") {
			if chunk++; chunk%2 == 1 { // applied, and the reply lost
				_ = resp.Body.Close()
				resp.StatusCode, resp.Status, resp.Header = 503, "503 Lost", http.Header{}
				resp.Body = http.NoBody
			}
		}
		return resp, err
	})
	client := newTestClient(t, srv, withHTTP(hc))
	client.SetRetry(storage.WithPolicy(storage.RetryAlways))
	body := noise(5*chunkQuantum + 11)
	if _, err := put(t.Context(), client.Bucket(testBucket).Object("o").If(storage.Conditions{DoesNotExist: true}), body, chunkQuantum); err != nil {
		t.Fatal(err)
	}
	if chunk < 12 {
		t.Errorf("only %d chunks were sent", chunk)
	}
	checkStored(t, s, body)
}
