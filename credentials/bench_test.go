package credentials

import (
	"net/http"
	"testing"
	"time"
)

func BenchmarkGet(b *testing.B) {
	c := New(&server{life: time.Hour}, nil)
	defer func() { _ = c.Close() }()
	if _, err := c.Get(b.Context()); err != nil {
		b.Fatal(err)
	}
	ctx := b.Context()
	b.Run("1", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Get(ctx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("256", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(128)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := c.Get(ctx); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkAuthorize is what it takes to authorise a request that the caller owns.
func BenchmarkAuthorize(b *testing.B) {
	c := New(&server{life: time.Hour}, nil)
	defer func() { _ = c.Close() }()
	req := benchRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		token, err := c.Get(req.Context())
		if err != nil {
			b.Fatal(err)
		}
		token.Authorize(req.Header)
	}
}

// BenchmarkTransport is what Transport adds to a request; BenchmarkClone is what any transport that keeps to
// the contract of RoundTripper adds at least.
func BenchmarkTransport(b *testing.B) {
	c := New(&server{life: time.Hour}, nil)
	defer func() { _ = c.Close() }()
	answer := &http.Response{StatusCode: 200}
	rt := Transport(c, roundTripper(func(*http.Request) (*http.Response, error) { return answer, nil }))
	req := benchRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rt.RoundTrip(req); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClone(b *testing.B) {
	token, err := NewToken("x", "", "", time.Now(), time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	req := benchRequest(b)
	b.ReportAllocs()
	for b.Loop() {
		authorized(req, token)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func benchRequest(b *testing.B) *http.Request {
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, "https://storage.googleapis.com/o", nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("User-Agent", "x")
	req.Header.Set("X-Goog-Api-Client", "y")
	return req
}
