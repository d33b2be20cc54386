//go:build unix

package checkpoint

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func TestLastOptionCounts(t *testing.T) {
	choose, err := chooserOf([]PartOption{Pages("*"), Immutable("*.sst", "*.blob"), AppendOnly("log/**"), Pages("x.sst")})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]choice{"a": byPages, "a.sst": byIdentity, "b/a.blob": byIdentity, "log/a.sst": byTail, "x.sst": byPages, "y/x.sst": byPages} {
		if got := choose(name); got != want {
			t.Errorf("%s is saved by %d, want %d", name, got, want)
		}
	}
	if choose, err := chooserOf(nil); err != nil || choose("a") != byDefault {
		t.Error("a default without options", err)
	}
	if _, err := chooserOf([]PartOption{AppendOnly("[")}); err == nil {
		t.Error("a bad pattern was taken")
	}
}

// Of a log that grows only what was added is read: what was changed before it behind the save's back does not show.
func TestAppendOnly(t *testing.T) {
	const size = segmentSize + 300_001
	mem := memstore.New()
	dir := t.TempDir()
	p := filepath.Join(dir, "a.log")
	content := noise(1, size)
	if err := os.WriteFile(p, content, 0o600); err != nil {
		t.Fatal(err)
	}
	save := func() (Info, PartInfo, []byte) {
		t.Helper()
		s := openMem(t, mem)
		info, _ := savedParts(t, s, dir, AppendOnly("*.log"))
		c := mustFind(t, mustJob(t, s, "j"), "latest")
		parts, err := c.Parts(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return info, parts[0], restored(t, c)["a.log"]
	}
	edit := func(flag int, at int64, b []byte) {
		t.Helper()
		f, err := os.OpenFile(p, os.O_WRONLY|flag, 0)
		if err != nil {
			t.Fatal(err)
		}
		if flag == os.O_APPEND {
			_, err = f.Write(b)
		} else {
			_, err = f.WriteAt(b, at)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, part, got := save(); part.Method != "full" || !bytes.Equal(got, content) {
		t.Fatalf("%+v", part)
	}
	if info, part, got := save(); part.Method != "identity" || info.NewBytes != 0 || !bytes.Equal(got, content) {
		t.Errorf("unchanged: %+v", part)
	}

	tail := noise(2, 2*segmentSize)
	edit(0, 5, []byte("behind its back"))
	edit(os.O_APPEND, 0, tail)
	content = slices.Concat(content, tail)
	info, part, got := save()
	partial := int64(size % pageSize)
	if part.Method != "append" || part.Reason == "" || info.NewBytes != int64(len(tail))+partial {
		t.Errorf("grown: %d new bytes, %+v", info.NewBytes, part)
	}
	if !bytes.Equal(got, content) {
		t.Error("what the base has was read, or the tail is wrong")
	}

	// Cut off and written anew is not append-only: everything is read.
	content = noise(3, size)
	if err := os.Truncate(p, 0); err != nil {
		t.Fatal(err)
	}
	edit(0, 0, content)
	if _, part, got := save(); part.Method != "pages" || !bytes.Equal(got, content) {
		t.Errorf("shortened: %+v", part)
	}
	// So is another file of that name.
	content = append(noise(4, size), 1)
	if err := os.WriteFile(p+".new", content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p+".new", p); err != nil {
		t.Fatal(err)
	}
	if _, part, got := save(); part.Method != "pages" || !bytes.Equal(got, content) {
		t.Errorf("replaced: %+v", part)
	}
}
