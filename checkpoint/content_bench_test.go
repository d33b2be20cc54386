package checkpoint

import (
	"bytes"
	"context"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// BenchmarkStream saves a stream of 128 MiB: first, unchanged, and shifted by a byte.
func BenchmarkStream(b *testing.B) {
	content := noise(1, 128<<20)
	for name, opts := range map[string][]PartOption{"default": nil, "content": {Content("*")}, "pages": {Pages("*")}} {
		for state, next := range map[string][]byte{"first": nil, "unchanged": content, "shifted": append([]byte{1}, content...)} {
			b.Run(name+"/"+state, func(b *testing.B) {
				b.SetBytes(int64(len(content)))
				b.ReportAllocs()
				for b.Loop() {
					b.StopTimer()
					mem := memstore.New()
					save := func(content []byte) {
						_, err := openMem(b, mem).Save(context.Background(), "j", func(w *Writer) error { return w.Add("a", bytes.NewReader(content), opts...) }, nil)
						if err != nil {
							b.Fatal(err)
						}
					}
					if next == nil {
						b.StartTimer()
						save(content)
						continue
					}
					save(content)
					b.StartTimer()
					save(next)
				}
			})
		}
	}
}
