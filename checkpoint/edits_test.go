package checkpoint

import (
	"bytes"
	"slices"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// Each way of saving notices each kind of small change, the ones that bring no new bytes too, and restores what was there.
func TestSmallEditsAreNoticed(t *testing.T) {
	const size = 3 << 20
	edits := []struct {
		name string
		do   func(b []byte) []byte
	}{
		{"a page becomes zeros", func(b []byte) []byte { clear(b[7*pageSize : 8*pageSize]); return b }},
		{"the last page becomes zeros", func(b []byte) []byte { clear(b[size-pageSize : size]); return b }},
		{"a page of zeros becomes what it was", func(b []byte) []byte { copy(b[7*pageSize:], noise(1, size)[7*pageSize:8*pageSize]); return b }},
		{"two pages change places", func(b []byte) []byte {
			first := slices.Clone(b[20*pageSize : 21*pageSize])
			copy(b[20*pageSize:21*pageSize], b[40*pageSize:])
			copy(b[40*pageSize:], first)
			return b
		}},
		{"shorter by a page", func(b []byte) []byte { return b[:len(b)-pageSize] }},
		{"shorter by a byte", func(b []byte) []byte { return b[:len(b)-1] }},
		{"longer by a byte", func(b []byte) []byte { return append(b, 0) }},
		{"longer by a page of zeros", func(b []byte) []byte { return append(b, make([]byte, pageSize)...) }},
		{"a byte less in front", func(b []byte) []byte { return b[1:] }},
		{"all zeros", func(b []byte) []byte { clear(b); return b }},
		{"less of them", func(b []byte) []byte { return b[:len(b)/2] }},
		{"one page", func([]byte) []byte { return noise(2, pageSize) }},
		{"another page", func([]byte) []byte { return noise(3, pageSize) }},
		{"the start of it", func(b []byte) []byte { return slices.Clone(b[:pageSize/2]) }},
		{"as much of zeros", func(b []byte) []byte { return make([]byte, len(b)) }},
	}
	for name, way := range map[string][]PartOption{"pages": {Pages("*")}, "content and pages": nil, "content": {Content("*")}} {
		t.Run(name, func(t *testing.T) {
			mem := memstore.New()
			content := noise(1, size)
			saveOne(t, openMem(t, mem), content, way...)
			for _, edit := range edits {
				content = edit.do(content)
				s := openMem(t, mem)
				saveOne(t, s, content, way...)
				if t.Run(edit.name, func(t *testing.T) { mustBe(t, s, content) }); t.Failed() {
					return
				}
			}
			noViolations(t, mem)
		})
	}
}

// Chunks that a checkpoint has already may come in another order, or with other stretches of zeros between, and nothing else tells.
func TestOrderOfKnownContentIsNoticed(t *testing.T) {
	run := func(fill byte) []byte { return bytes.Repeat([]byte{fill}, maxChunk) }
	a, b, zero := run(1), run(2), run(0)
	for name, way := range map[string][]PartOption{"content and pages": nil, "content": {Content("*")}} {
		t.Run(name, func(t *testing.T) {
			s := openMem(t, memstore.New())
			for _, blocks := range [][][]byte{{a, b, a}, {a, a, b}, {a, b, b}, {a, zero, zero, b, zero}, {a, zero, b, zero, zero}, {a, b, zero, zero, zero}} {
				content := slices.Concat(blocks...)
				saveOne(t, s, content, way...)
				mustBe(t, s, content)
			}
		})
	}
}
