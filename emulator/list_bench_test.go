package emulator

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// BenchmarkListPage is one page of 1,000 at several sizes of a bucket: what a page costs must not depend on what lies before it.
func BenchmarkListPage(b *testing.B) {
	for _, objects := range []int{2000, 100_000} {
		s := NewStorage(&StorageOptions{AutoCreate: true, S3: nil})
		for i := range objects {
			r := httptest.NewRequest(http.MethodPost, fmt.Sprintf("/upload/storage/v1/b/many/o?uploadType=media&name=o%06d", i), http.NoBody)
			s.ServeHTTP(httptest.NewRecorder(), r)
		}
		b.Run(fmt.Sprint(objects, " objects"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodGet, fmt.Sprintf("/storage/v1/b/many/o?startOffset=o%06d&fields=nextPageToken,items(name,size,generation,updated,crc32c)", objects-1001), nil)
				w := httptest.NewRecorder()
				if s.ServeHTTP(w, r); w.Code != http.StatusOK {
					b.Fatal(w.Code)
				}
			}
		})
	}
}
