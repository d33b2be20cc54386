package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func TestOnlyChangedPagesTravel(t *testing.T) {
	const size = 3*segmentSize + 12_345
	base := noise(1, size)
	tests := map[string]struct {
		next []byte
		new  int64
	}{
		"nothing":                 {base, 0},
		"one byte":                {changed(base, 5), pageSize},
		"last byte":               {changed(base, size-1), 12_345 % pageSize},
		"two bytes of one page":   {changed(changed(base, 100), 101), pageSize},
		"a byte per segment":      {changed(changed(base, 7), segmentSize+7), 2 * pageSize},
		"appended":                {append(slices.Clone(base), 1), 12_345%pageSize + 1},
		"shortened to a page":     {base[:2*segmentSize+pageSize], 0},
		"shortened inside a page": {base[:size-1], (12_345 - 1) % pageSize},
		"shortened to nothing":    {nil, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			mem := memstore.New()
			mustSave(t, openMem(t, mem), "j", files{"a": base})
			s := openMem(t, mem) // another process: nothing is remembered
			info := mustSave(t, s, "j", files{"a": tt.next})
			if info.NewBytes != tt.new {
				t.Errorf("%d new bytes, want %d", info.NewBytes, tt.new)
			}
			if d := (files{"a": slices.Clip(tt.next)}).diff(restored(t, mustFind(t, mustJob(t, s, "j"), "latest"))); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestRandomHistory edits files at random over many checkpoints, trims and collects, and restores every checkpoint that is retained.
func TestRandomHistory(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	mem := memstore.New()
	s := openMem(t, mem)
	state := files{"big": noise(1, segmentSize+300_000), "small": []byte("x"), "mid": noise(2, 200_000)}
	history := map[uint64]files{}
	for round := range 12 {
		if round%3 == 0 {
			s = openMem(t, mem)
		}
		info := mustSave(t, s, "j", state)
		history[info.Checkpoint] = files{}
		for k, v := range state {
			history[info.Checkpoint][k] = slices.Clone(v)
		}
		j := mustJob(t, s, "j")
		if _, err := j.Retain(context.Background(), Retention{KeepLast: 3}, false); err != nil {
			t.Fatal(err)
		}
		if _, err := j.Collect(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		infos, err := j.List(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range infos {
			c := mustFind(t, j, fmt.Sprint(i.Checkpoint))
			if d := history[i.Checkpoint].diff(restored(t, c)); d != "" {
				t.Fatalf("round %d, checkpoint %d: %s", round, i.Checkpoint, d)
			}
		}
		for _, name := range []string{"big", "mid"} {
			b := state[name]
			for range 1 + rnd.IntN(40) {
				b[rnd.IntN(len(b))]++
			}
			if rnd.IntN(3) == 0 {
				b = b[:len(b)-rnd.IntN(min(len(b), 9000))]
			}
			if rnd.IntN(3) == 0 {
				b = append(b, noise(uint64(round), rnd.IntN(50_000))...)
			}
			state[name] = b
		}
		state["small"] = append(state["small"], byte(round))
		state[fmt.Sprint("new-", round)] = noise(uint64(round), rnd.IntN(20_000))
		delete(state, fmt.Sprint("new-", round-2))
	}
	noViolations(t, mem)
}

// An immutable file that is the same file is not read: what was put into it behind its back does not show.
func TestImmutableFilesAreNotRead(t *testing.T) {
	// Of the log enough that the small pack of the two is not one that the next save empties.
	dir := files{"1.sst": []byte("sorted strings"), "log": noise(1, 20_000)}.write(t, t.TempDir())
	s := openMem(t, memstore.New())
	save := func() []PartInfo {
		t.Helper()
		_, err := s.Save(context.Background(), "j", func(w *Writer) error { return w.AddDir("", dir, Immutable("*.sst")) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := mustFind(t, mustJob(t, s, "j"), "latest").Parts(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return parts
	}
	save()
	overwrite(t, filepath.Join(dir, "1.sst"), "SORTED STRINGS")
	parts := save()
	if parts[0].Method != "identity" || parts[0].NewBytes != 0 || parts[1].Method != "pages" {
		t.Errorf("parts %+v", parts)
	}
	got := restored(t, mustFind(t, mustJob(t, s, "j"), "latest"))
	if string(got["1.sst"]) != "sorted strings" {
		t.Errorf("the immutable file was read: %q", got["1.sst"])
	}
	// Another file of the same name, size and time is not the same file.
	p := filepath.Join(dir, "1.sst")
	st, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p+".new", []byte("Sorted Strings"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(p+".new", time.Time{}, st.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p+".new", p); err != nil {
		t.Fatal(err)
	}
	save()
	if got := restored(t, mustFind(t, mustJob(t, s, "j"), "latest")); string(got["1.sst"]) != "Sorted Strings" {
		t.Errorf("another file was taken for the same: %q", got["1.sst"])
	}
}

// overwrite changes a file in place and sets its time back.
func overwrite(t *testing.T, p, content string) {
	t.Helper()
	st, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(p, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(p, time.Time{}, st.ModTime()); err != nil {
		t.Fatal(err)
	}
}

func TestRequestsOfASave(t *testing.T) {
	tests := []struct {
		name       string
		state, was files
		puts, gets int
	}{
		{"small: pack in the manifest", files{"a": []byte("1"), "b": noise(1, 100_000)}, nil, 2, 1}, // the manifest; HEAD is read and written
		{"10 MiB: two packs", files{"a": noise(1, 10<<20)}, nil, 4, 1},
		{"small change of 20 MiB", files{"a": changed(noise(1, 20<<20), 9)}, files{"a": noise(1, 20<<20)}, 2, 2}, // HEAD carries the base's manifest; its tables are read
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mem := memstore.New()
			if tt.was != nil {
				mustSave(t, openMem(t, mem), "j", tt.was)
			}
			r := mustSave(t, openMem(t, mem), "j", tt.state).Requests
			lists := int64(0)
			if tt.was == nil {
				lists = 1 // that the job is new, and did not lose its HEAD
			}
			if r != (Requests{Put: int64(tt.puts), Get: int64(tt.gets), List: lists}) {
				t.Errorf("requests %+v, want %d puts, %d gets and %d listings", r, tt.puts, tt.gets, lists)
			}
		})
	}
}

// A base that is damaged costs bytes, not the checkpoint.
func TestDamagedBaseIsSavedInFull(t *testing.T) {
	for _, victim := range []string{"/manifests/", "/data/"} {
		t.Run(victim, func(t *testing.T) {
			mem := memstore.New()
			state := files{"a": noise(1, 6<<20)}
			for i := 0; i < 1000 && victim == "/manifests/"; i++ { // so that the manifest is too large for HEAD
				state[fmt.Sprint("part-", i)] = []byte{1}
			}
			mustSave(t, openMem(t, mem), "j", state)
			tamper(t, mem, victim, func(b []byte) []byte { clear(b[16:]); return b })
			s := openMem(t, mem)
			info := mustSave(t, s, "j", state)
			if info.NewBytes != info.Bytes {
				t.Errorf("%d of %d bytes saved anew", info.NewBytes, info.Bytes)
			}
			if d := state.diff(restored(t, mustFind(t, mustJob(t, s, "j"), "latest"))); d != "" {
				t.Error(d)
			}
			parts, err := mustFind(t, mustJob(t, s, "j"), "latest").Parts(context.Background())
			if err != nil || !bytes.Contains([]byte(parts[0].Reason), []byte("damaged")) {
				t.Errorf("the reason is %q, %v", parts[0].Reason, err)
			}
		})
	}
}

// tamper changes the bytes of every object whose key contains part.
func tamper(t testing.TB, mem *memstore.Store, part string, change func([]byte) []byte) {
	t.Helper()
	ctx := context.Background()
	for _, key := range mem.Keys() {
		if !bytes.Contains([]byte(key), []byte(part)) {
			continue
		}
		b, v, err := mem.Get(ctx, key, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := mem.Put(ctx, key, change(slices.Clone(b)), v); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPartReader(t *testing.T) {
	content := append(noise(1, segmentSize+1_000_000), bytes.Repeat([]byte("compressible "), 100_000)...)
	mem := memstore.New()
	s := openMem(t, mem)
	mustSave(t, s, "j", files{"a": content})
	content = changed(changed(content, 123_456), segmentSize+5)
	mustSave(t, s, "j", files{"a": content})
	r, err := mustFind(t, mustJob(t, s, "j"), "latest").Open(context.Background(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) || r.Size() != int64(len(content)) {
		t.Fatalf("read %d of %d bytes, %v", len(got), len(content), err)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		off := rnd.IntN(len(content))
		b := make([]byte, rnd.IntN(min(len(content)-off, 700_000))+1)
		want := content[off:min(off+len(b), len(content))]
		if n, err := r.ReadAt(b, int64(off)); n != len(want) || (err != nil && !errors.Is(err, io.EOF)) || !bytes.Equal(b[:n], want) {
			t.Fatalf("read at %d: %d of %d bytes, %v", off, n, len(b), err)
		}
	}
	if _, err := r.Seek(-13, io.SeekEnd); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != "compressible " {
		t.Errorf("after seek: %q, %v", got, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Read(make([]byte, 1)); err == nil {
		t.Error("a closed reader reads")
	}
}
