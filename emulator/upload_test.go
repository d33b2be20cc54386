package emulator

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

func TestUploadRefusesWrongChecksums(t *testing.T) {
	s, srv := newTestStorage(t, nil)
	hc := newHTTPClient(t, "")
	body := string(noise(600 << 10))
	right := encodeCRC(crc32.Checksum([]byte(body), castagnoli))
	sum := md5.Sum([]byte(body))
	rightMD5 := base64.StdEncoding.EncodeToString(sum[:])
	const wrong, wrongMD5 = "AAAAAA==", "AAAAAAAAAAAAAAAAAAAAAA=="
	base := srv.URL + "/upload/storage/v1/b/" + testBucket + "/o?name=o&uploadType="

	media := func(_ string, headers ...string) *http.Response {
		resp, _ := ask(t, hc, "POST", base+"media", body, headers...)
		return resp
	}
	multipart := func(metadata string, headers ...string) *http.Response {
		text := "--B\r\nContent-Type: application/json\r\n\r\n" + metadata + "\r\n--B\r\n\r\n" + body + "\r\n--B--\r\n"
		resp, _ := ask(t, hc, "POST", base+"multipart", text, append(headers, "Content-Type", "multipart/related; boundary=B")...)
		return resp
	}
	resumable := func(metadata string, headers ...string) *http.Response {
		start, text := ask(t, hc, "POST", base+"resumable", metadata)
		if start.StatusCode != http.StatusOK {
			t.Fatalf("start: %s %s", start.Status, text)
		}
		at := start.Header.Get("Location")
		if part, text := ask(t, hc, "PUT", at, body[:512<<10], "Content-Range", "bytes 0-524287/*"); part.StatusCode != http.StatusPermanentRedirect {
			t.Fatalf("first chunk: %s %s", part.Status, text)
		}
		resp, _ := ask(t, hc, "PUT", at, body[512<<10:], append(headers, "Content-Range", fmt.Sprintf("bytes 524288-%d/%d", len(body)-1, len(body)))...)
		return resp
	}
	for _, way := range []struct {
		name     string
		metadata bool
		send     func(metadata string, headers ...string) *http.Response
	}{{"media", false, media}, {"multipart", true, multipart}, {"resumable", true, resumable}} {
		for _, c := range []struct {
			name, metadata string
			headers        []string
			ok, md5        bool
		}{
			{"none", "{}", nil, true, false},
			{"right CRC32C in metadata", `{"crc32c":"` + right + `"}`, nil, true, false},
			{"wrong CRC32C in metadata", `{"crc32c":"` + wrong + `"}`, nil, false, false},
			{"right MD5 in metadata", `{"md5Hash":"` + rightMD5 + `"}`, nil, true, true},
			{"wrong MD5 in metadata", `{"md5Hash":"` + wrongMD5 + `"}`, nil, false, false},
			{"right CRC32C in header", "{}", []string{"X-Goog-Hash", "crc32c=" + right}, true, false},
			{"wrong CRC32C in header", "{}", []string{"X-Goog-Hash", "crc32c=" + wrong}, false, false},
			{"right MD5 and wrong CRC32C", "{}", []string{"X-Goog-Hash", "md5=" + rightMD5 + ",crc32c=" + wrong}, false, false},
			{"both right", "{}", []string{"X-Goog-Hash", "crc32c=" + right + ", md5=" + rightMD5}, true, true},
			{"wrong MD5 in header", "{}", []string{"X-Goog-Hash", "md5=" + wrongMD5}, false, false},
			{"right Content-MD5", "{}", []string{"Content-MD5", rightMD5}, true, true},
			{"wrong Content-MD5", "{}", []string{"Content-MD5", wrongMD5}, false, false},
			{"contradiction", `{"crc32c":"` + wrong + `"}`, []string{"X-Goog-Hash", "crc32c=" + right}, false, false},
		} {
			if c.metadata != "{}" && !way.metadata {
				continue
			}
			t.Run(way.name+"/"+c.name, func(t *testing.T) {
				resp := way.send(c.metadata, c.headers...)
				stored, err := s.find(testBucket, "o", &conditions{})
				if !c.ok {
					if resp.StatusCode != http.StatusBadRequest || err == nil {
						t.Fatalf("status %s, stored: %v; want 400 and nothing", resp.Status, err == nil)
					}
					return
				}
				if resp.StatusCode != http.StatusOK || err != nil {
					t.Fatalf("status %s, stored: %v", resp.Status, err)
				}
				if encodeCRC(stored.crc) != right || (stored.md5 != nil) != c.md5 {
					t.Errorf("stored CRC32C %s, MD5 %x", encodeCRC(stored.crc), stored.md5)
				}
				if err := s.remove(testBucket, "o", &conditions{}); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
	if used := s.memory.used.Load(); used != 0 {
		t.Errorf("refused uploads left %d bytes in the budget", used)
	}
}

// The client sends the checksum it was given, and reports what the server says.
func TestUploadChecksumThroughTheClient(t *testing.T) {
	_, srv := newTestStorage(t, nil)
	client := newTestClient(t, srv)
	for _, chunkSize := range []int{0, 256 << 10} {
		w := client.Bucket(testBucket).Object("o").NewWriter(t.Context())
		w.ChunkSize, w.CRC32C, w.SendCRC32C = chunkSize, 1, true
		if _, err := w.Write(noise(700 << 10)); err != nil {
			t.Fatal(err)
		}
		if e := wantStatus(t, w.Close(), http.StatusBadRequest); !strings.Contains(e.Message, "doesn't match calculated CRC32C") {
			t.Errorf("chunk size %d: %v", chunkSize, e)
		}
	}
}

func TestUploadBrokenOffStoresNothing(t *testing.T) {
	s, srv := newTestStorage(t, nil)
	hc := newHTTPClient(t, "")
	for _, query := range []string{"uploadType=media", "uploadType=multipart"} {
		for _, announced := range []int64{-1, 2 << 20} {
			head := "--B\r\n\r\n{}\r\n--B\r\n\r\n"
			broken := io.MultiReader(strings.NewReader(head), bytes.NewReader(noise(1<<20)), iotest.ErrReader(errors.New("cable cut")))
			r, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL+"/upload/storage/v1/b/"+testBucket+"/o?name=o&"+query, broken)
			if err != nil {
				t.Fatal(err)
			}
			r.ContentLength = announced
			r.Header.Set("Content-Type", "multipart/related; boundary=B")
			if resp, err := hc.Do(r); err == nil {
				_ = resp.Body.Close()
				t.Errorf("answered %s", resp.Status)
			}
		}
	}
	srv.Close() // waits for the handlers
	if used := s.memory.used.Load(); used != 0 || len(s.Objects(testBucket)) != 0 {
		t.Errorf("left %d bytes and %v", used, s.Objects(testBucket))
	}
}

func TestUploadMultipartForms(t *testing.T) {
	const meta = `{"name":"o","contentType":"text/plain","metadata":{"k":"v"}}`
	large := string(noise(300 << 10))
	for _, c := range []struct {
		name, contentType, body string
		want                    string // the content
		ok                      bool
	}{
		{"usual", "multipart/related; boundary=B", "--B\r\nContent-Type: application/json\r\n\r\n" + meta + "\r\n--B\r\nContent-Type: a/b\r\n\r\nbody\r\n--B--\r\n", "body", true},
		{"quoted boundary", `multipart/related; boundary="B C"`, "--B C\r\n\r\n" + meta + "\r\n--B C\r\n\r\nbody\r\n--B C--", "body", true},
		{"line feeds alone", "multipart/related; boundary=B", "--B\nContent-Type: application/json\n\n" + meta + "\n--B\n\nbody\n--B--\n", "body", true},
		{"preamble and epilogue", "multipart/mixed; boundary=B", "hello\r\n--B\r\n\r\n" + meta + "\r\n--B \r\nX-Y: z\r\n\r\nbody\r\n--B--  \r\n\r\n", "body", true},
		{"empty content", "multipart/related; boundary=B", "--B\r\n\r\n" + meta + "\r\n--B\r\n\r\n\r\n--B--\r\n", "", true},
		{"content like the boundary", "multipart/related; boundary=B", "--B\r\n\r\n" + meta + "\r\n--B\r\n\r\n--B\r\n--A--\r\n\r\n--B--\r\n", "--B\r\n--A--\r\n", true},
		{"large", "multipart/related; boundary=B", "--B\r\n\r\n" + meta + "\r\n--B\r\n\r\n" + large + "\r\n--B--\r\n", large, true},
		{"no end", "multipart/related; boundary=B", "--B\r\n\r\n" + meta + "\r\n--B\r\n\r\nbody", "", false},
		{"one part", "multipart/related; boundary=B", "--B\r\n\r\n" + meta + "\r\n--B--\r\n", "", false},
		{"no JSON", "multipart/related; boundary=B", "--B\r\n\r\n{\r\n--B\r\n\r\nbody\r\n--B--\r\n", "", false},
		{"other boundary", "multipart/related; boundary=C", "--B\r\n\r\n" + meta + "\r\n--B\r\n\r\nbody\r\n--B--\r\n", "", false},
		{"no boundary", "multipart/related", "--B\r\n\r\n" + meta, "", false},
		{"endless metadata", "multipart/related; boundary=B", "--B\r\n\r\n" + large, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, srv := newTestStorage(t, nil)
			resp, text := ask(t, newHTTPClient(t, ""), "POST", srv.URL+"/upload/storage/v1/b/"+testBucket+"/o?uploadType=multipart", c.body,
				"Content-Type", c.contentType)
			if !c.ok {
				if resp.StatusCode != http.StatusBadRequest || len(s.Objects(testBucket)) > 0 {
					t.Errorf("%s %s, stored %v; want 400 and nothing", resp.Status, text, s.Objects(testBucket))
				}
				return
			}
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("%s %s", resp.Status, text)
			}
			checkStored(t, s, []byte(c.want))
			if o, _ := s.find(testBucket, "o", &conditions{}); o.attributes.ContentType != "text/plain" || o.attributes.Metadata["k"] != "v" {
				t.Errorf("attributes %+v", o.attributes)
			}
		})
	}
}
