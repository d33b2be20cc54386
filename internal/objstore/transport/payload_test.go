package transport

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
)

func noise(n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{7}).Read(p)
	return p
}

func post(t *testing.T, url string, parts ...[]byte) (*http.Request, *Payload) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPayload(parts...)
	p.Attach(r)
	return r, p
}

func TestPayloadArrives(t *testing.T) {
	type arrival struct {
		length int64
		body   []byte
	}
	got := make(chan arrival, 1)
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		got <- arrival{r.ContentLength, body}
	})
	p := pool(t, nil)
	for _, size := range []int{0, 1, 1000, bufferSize, bufferSize + 1, 9 << 20} {
		parts := [][]byte{[]byte("head"), noise(size), []byte("tail")}
		if size == 0 {
			parts = nil
		}
		want := bytes.Join(parts, nil)
		r, payload := post(t, s.URL, parts...)
		resp, err := p.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		payload.Release()
		if a := <-got; a.length != int64(len(want)) || !bytes.Equal(a.body, want) {
			t.Errorf("%d bytes arrived, %d were declared, %d sent", len(a.body), a.length, len(want))
		}
	}
}

func TestPayloadIsSentAgainWhole(t *testing.T) {
	r, payload := post(t, "http://storage.test/", []byte("head"), []byte("tail"))
	for range 2 {
		body, err := r.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(body); err != nil || string(b) != "headtail" {
			t.Errorf("%q, %v", b, err)
		}
	}
	payload.Release()
	body, err := r.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(body); len(b) != 0 || !errors.Is(err, errReleased) {
		t.Errorf("after Release: %q, %v", b, err)
	}
}

// TestPayloadLeavesUncopied counts the writes: through net/http's buffer it would be one for each 32 KiB.
func TestPayloadLeavesUncopied(t *testing.T) {
	client, server := net.Pipe() // unbuffered: each write is seen as such
	body := noise(8 << 20)
	writes := 0
	done := make(chan error, 1)
	go func() {
		buf := make([]byte, len(body))
		for n := 0; n < len(body); writes++ {
			m, err := server.Read(buf[n:])
			if n += m; err != nil {
				done <- err
				return
			}
		}
		if !bytes.Equal(buf, body) {
			done <- errors.New("other bytes arrived")
			return
		}
		done <- nil
	}()
	p := NewPayload(body[:3], body[3:])
	c := &conn{Conn: client, done: func() {}}
	n, err := c.ReadFrom(&io.LimitedReader{R: p.open(), N: int64(len(body))})
	if n != int64(len(body)) || err != nil {
		t.Fatal(n, err)
	}
	if err := <-done; err != nil || writes != 2 {
		t.Errorf("%d writes for a payload of 2 parts, %v", writes, err)
	}
	_, _ = client.Close(), server.Close()
}

// TestEarlyAnswer: the server refuses without reading, net/http returns the answer while it still sends, and the caller goes on to use
// its bytes. The race detector is the judge.
func TestEarlyAnswer(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPreconditionFailed) })
	p := pool(t, nil)
	body := noise(16 << 20)
	for range 3 {
		r, payload := post(t, s.URL, body)
		resp, err := p.RoundTrip(r)
		if err == nil {
			_ = resp.Body.Close()
		}
		payload.Release()
		clear(body)
	}
}
