package bucketstore

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"cloud.google.com/go/storage"
	"gocloud.dev/blob/gcsblob"
	"google.golang.org/api/option"

	"github.com/tidemark-go/tidemark/emulator"
	"github.com/tidemark-go/tidemark/internal/objstore"
)

// BenchmarkRead compares the storage client's two ways to read: JSON, which OpenGCS uses, and XML, its default.
func BenchmarkRead(b *testing.B) {
	h := emulator.NewStorage(nil)
	if err := h.CreateBucket("acme"); err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	json, err := OpenGCS(b.Context(), client, "acme", &Options{Endpoint: srv.URL})
	if err != nil {
		b.Fatal(err)
	}
	c, err := storage.NewClient(b.Context(), option.WithHTTPClient(client), option.WithoutAuthentication(), option.WithEndpoint(srv.URL+"/storage/v1/"))
	if err != nil {
		b.Fatal(err)
	}
	bucket, err := gcsblob.OpenBucket(b.Context(), nil, "acme", &gcsblob.Options{Client: c})
	if err != nil {
		b.Fatal(err)
	}
	xml, err := New(bucket, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{4 << 10, 16 << 20} {
		key := fmt.Sprint("k", size)
		if _, err := json.Put(b.Context(), key, make([]byte, size), objstore.Absent); err != nil {
			b.Fatal(err)
		}
		p := make([]byte, size)
		for name, s := range map[string]*Store{"json": json, "xml": xml} {
			b.Run(fmt.Sprintf("%s/%d", name, size), func(b *testing.B) {
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if err := s.ReadRange(b.Context(), key, 0, p); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkPut(b *testing.B) {
	h := emulator.NewStorage(nil)
	if err := h.CreateBucket("acme"); err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(h)
	defer srv.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	s, err := OpenGCS(b.Context(), &http.Client{Transport: transport}, "acme", &Options{Endpoint: srv.URL})
	if err != nil {
		b.Fatal(err)
	}
	for _, size := range []int{4 << 10, 16 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			body := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			version := objstore.Absent
			for b.Loop() {
				if version, err = s.Put(b.Context(), fmt.Sprint("k", size), body, version); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
