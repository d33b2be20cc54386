package checkpoint

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// readMeter counts what a connection reads of packs. Manifests and HEAD are read whole by design.
type readMeter struct {
	*memstore.Store
	bytes, requests atomic.Int64
}

func (m *readMeter) count(key string, n int64) {
	if strings.Contains(key, "/data/") {
		m.bytes.Add(n)
		m.requests.Add(1)
	}
}

func (m *readMeter) ReadRange(ctx context.Context, key string, off int64, p []byte) error {
	m.count(key, int64(len(p)))
	return m.Store.ReadRange(ctx, key, off, p)
}

func (m *readMeter) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	m.count(key, n)
	return m.Store.OpenRange(ctx, key, off, n)
}

func (m *readMeter) Get(ctx context.Context, key string, limit int64) ([]byte, objstore.Version, error) {
	b, v, err := m.Store.Get(ctx, key, limit)
	m.count(key, int64(len(b)))
	return b, v, err
}

// neededBytes is what of the packs a process that knows nothing needs of a checkpoint: each table, and each chunk that is referred to, once.
func neededBytes(t *testing.T, c *Checkpoint) (chunks, tables int64) {
	t.Helper()
	ctx := context.Background()
	m, err := c.manifest(ctx)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, p := range m.Parts.All() {
		for i, s := range p.Segments {
			for _, l := range tablesOf(s) {
				tables += int64(l.Stored)
			}
			table, packs, err := c.table(ctx, m, s, format.SegmentLength(p, i))
			if err != nil {
				t.Fatal(err)
			}
			for row := range table.ChunkPack {
				chunk := table.Chunk(row)
				if at := fmt.Sprint(packs.object(chunk.Pack), chunk.Offset); !seen[at] {
					seen[at] = true
					chunks += int64(chunk.Stored)
				}
			}
		}
	}
	return chunks, tables
}

// Whatever is read is read because somebody wants it, or because it lies in a gap that is cheaper than a request.
func TestNothingIsReadThatNobodyWants(t *testing.T) {
	const (
		stretch = 1 << 20
		size    = 24 * stretch
		packs   = size/(4<<20) + 1 // no pack is smaller, so there are no more of them
		gap     = 64 << 10         // what a request is worth: not planGap, which this test is about
	)
	ctx := context.Background()
	mem := memstore.New()
	content := noise(1, size)
	save := func(on objstore.Store) Info {
		t.Helper()
		info, err := openMem(t, on).Save(ctx, "j", func(w *Writer) error { return w.Add("a", bytes.NewReader(content), Pages("*")) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	save(mem)
	for at := 0; at < size; at += 2 * stretch { // from here on, every other stretch of the old packs is wanted by nobody
		copy(content[at:at+stretch], noise(uint64(100+at/stretch), stretch))
	}
	old := slices.Clone(content)
	if info := save(mem); info.NewBytes != size/2 {
		t.Fatalf("%d new bytes", info.NewBytes)
	}
	chunks, tables := neededBytes(t, mustFind(t, mustJob(t, openMem(t, mem), "j"), "latest"))
	if chunks < size || chunks > size+size/100 {
		t.Fatalf("%d bytes of chunks", chunks)
	}

	connect := func() (*readMeter, *Checkpoint) {
		m := &readMeter{Store: mem.Peer()}
		return m, mustFind(t, mustJob(t, openMem(t, m), "j"), "latest")
	}
	within := func(what string, m *readMeter, chunks int64) {
		t.Helper()
		n, gaps := m.bytes.Load()-chunks-tables, m.requests.Load()*gap
		t.Logf("%s: %d bytes in %d requests, %d of them for nobody", what, m.bytes.Load(), m.requests.Load(), n)
		if n > gaps {
			t.Errorf("%s: %d bytes were read that nobody wants, %d of chunks and %d of tables that somebody does", what, n, chunks, tables)
		}
	}

	m, c := connect()
	if d := (files{"a": content}).diff(restored(t, c)); d != "" {
		t.Fatal(d)
	}
	within("a restore", m, chunks)
	if n := m.requests.Load(); n > 2*size/stretch+2*packs {
		t.Errorf("%d requests for %d stretches", n, size/stretch)
	}

	// An update of a state in which every eighth stretch is another.
	changed := 0
	for at := 0; at < size; at += 8 * stretch {
		clear(old[at : at+stretch])
		changed += stretch
	}
	dir := files{"a": old}.write(t, t.TempDir())
	m, c = connect()
	if _, err := c.RestoreDir(ctx, "", dir, &RestoreOptions{Update: true}); err != nil {
		t.Fatal(err)
	}
	if d := (files{"a": content}).diff(readDir(t, dir)); d != "" {
		t.Fatal(d)
	}
	within("an update", m, int64(changed)+int64(changed)/100)

	m, c = connect()
	r, err := c.Open(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{1, size / 2, size - 1} {
		if _, err := r.ReadAt(make([]byte, 1), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	within("three bytes", m, 3*(chunkSize+chunkSize/100))

	// The next save, by a process that knows nothing, reads tables and no content.
	content[5]++
	m = &readMeter{Store: mem.Peer()}
	save(m)
	within("a save", m, 0)
}
