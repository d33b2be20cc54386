package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// cutOff lets n requests of data through, then fails as told.
func cutOff(mem *memstore.Store, n int, o memstore.Outcome) {
	var seen atomic.Int64
	mem.SetFault(func(op memstore.Op) memstore.Outcome {
		if op.Method == "range" && strings.Contains(op.Key, "/data/") && seen.Add(1) > int64(n) {
			return o
		}
		return memstore.OK
	})
}

var refused = memstore.Outcome{Err: &objstore.Error{Kind: objstore.KindPermission, Op: "fault"}}

// streamsOpen is how many answers a restore has open for each unit of Options.Concurrency.
const streamsOpen = 4

// resumable is a checkpoint of 34 MB in packs that are read streamsOpen at a time.
func resumable(t *testing.T) (*memstore.Store, *Checkpoint, string) {
	t.Helper()
	src := files{"a": noise(1, 18<<20), "b": noise(2, 9<<20), "c/d": noise(3, 5<<20), "empty": {}, "holes": append(make([]byte, 1<<20), 1)}.write(t, t.TempDir())
	for _, err := range []error{os.Symlink("a", filepath.Join(src, "link")), os.Chmod(filepath.Join(src, "b"), 0o400), os.Chmod(filepath.Join(src, "c"), 0o500)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(src, "c"), 0o700) })
	mem := memstore.New()
	saveDir(t, openMem(t, mem), src)
	s, err := newStore(mem, false, withDefaults(&Options{Concurrency: 1}))
	if err != nil {
		t.Fatal(err)
	}
	return mem, mustFind(t, mustJob(t, s, "j"), "latest"), src
}

func stageOf(t *testing.T, dir string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, stagePrefix+"*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("stages %q, %v", found, err)
	}
	return found[0]
}

func TestResumeFetchesOnlyTheRest(t *testing.T) {
	mem, c, src := resumable(t)
	dir := filepath.Join(t.TempDir(), "new")
	cutOff(mem, streamsOpen+1, refused) // so two streams are through
	_, err := c.RestoreDir(context.Background(), "", dir, &RestoreOptions{Resume: true})
	wantKind(t, err, ErrPermission)
	stage := stageOf(t, dir)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Fatalf("something has its final name: %v, %v", entries, err)
	}
	// What is there is not believed: a flipped byte, a link that leads elsewhere.
	flipped := false
	for _, name := range []string{"a", "b", "c/d"} {
		p := filepath.Join(stage, filepath.FromSlash(name))
		b, err := os.ReadFile(p)
		if errors.Is(err, fs.ErrNotExist) || len(b) == 0 {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)-1] ^= 1
		if err := errors.Join(os.Chmod(p, 0o600), os.WriteFile(p, b, 0o600)); err != nil {
			t.Fatal(err)
		}
		flipped = true
	}
	if !flipped {
		t.Fatal("nothing was fetched before the end")
	}
	if err := os.Remove(filepath.Join(stage, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(stage, "link")); err != nil {
		t.Fatal(err)
	}
	mem.SetFault(nil)
	read := &readBytes{Store: mem}
	c.job.store.objects = objstore.NewRetrying(read, nil)
	report := mustRestore(t, c, dir, src, &RestoreOptions{Resume: true})
	if report.KeptBytes < 4<<20 || report.KeptBytes >= report.Bytes-4096 {
		t.Errorf("%d of %d bytes were kept", report.KeptBytes, report.Bytes)
	}
	// What is missing comes in chunks, and small gaps are read rather than asked around.
	if want := report.Bytes - report.KeptBytes; read.n.Load() > want+want/4+1<<20 {
		t.Errorf("%d bytes were read for the %d that were missing", read.n.Load(), want)
	}
}

// A restore that was killed, whether or not it could be resumed, leaves a stage. Without Resume the next one starts anew; with it, it goes on. Stages of other
// checkpoints are garbage to both.
func TestStagesOfTheDead(t *testing.T) {
	mem, c, src := resumable(t)
	for _, resume := range []bool{false, true} {
		dir := t.TempDir()
		cutOff(mem, streamsOpen+1, refused) // so two streams are through
		_, err := c.RestoreDir(context.Background(), "", dir, &RestoreOptions{Resume: true})
		wantKind(t, err, ErrPermission)
		files{"x": {1}}.write(t, filepath.Join(dir, stagePrefix+"0123456789abcdef", "sub"))
		mem.SetFault(nil)
		report := mustRestore(t, c, dir, src, &RestoreOptions{Resume: resume})
		if kept := report.KeptBytes > 0; kept != resume {
			t.Errorf("resume %t kept %d bytes", resume, report.KeptBytes)
		}
	}
}

// Killed while the final names were given: what has its name is compared, the rest comes from the stage; nothing is fetched.
func TestResumeAfterDeathAmongTheNames(t *testing.T) {
	mem, c, src := resumable(t)
	dir := t.TempDir()
	cutOff(mem, streamsOpen+1, refused) // so two streams are through
	_, err := c.RestoreDir(context.Background(), "", dir, &RestoreOptions{Resume: true})
	wantKind(t, err, ErrPermission)
	mem.SetFault(nil)
	stage := stageOf(t, dir)
	whole := t.TempDir()
	mustRestore(t, c, whole, src, nil)
	for _, name := range []string{"a", "b", "c", "empty", "holes", "link"} {
		if err := os.RemoveAll(filepath.Join(stage, name)); err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(stage, name)
		if name < "c" {
			to = filepath.Join(dir, name)
		}
		if err := os.Rename(filepath.Join(whole, name), to); err != nil {
			t.Fatal(err)
		}
	}
	_, err = c.RestoreDir(context.Background(), "", dir, nil)
	wantKind(t, err, ErrInvalid)                                 // it is not empty; and nothing of the stage is lost
	cutOff(mem, 0, memstore.Outcome{Err: errors.New("no more")}) // tables are remembered
	report := mustRestore(t, c, dir, src, &RestoreOptions{Resume: true})
	if report.KeptBytes != report.Bytes {
		t.Errorf("%d of %d bytes kept", report.KeptBytes, report.Bytes)
	}
}

// Ctrl-C leaves nothing, or with Resume what was fetched.
func TestInterruptedRestore(t *testing.T) {
	mem, c, src := resumable(t)
	for _, resume := range []bool{false, true} {
		ctx, cancel := context.WithCancelCause(context.Background())
		stop := errors.New("ctrl-c")
		var seen atomic.Int64
		mem.SetFault(func(op memstore.Op) memstore.Outcome {
			if op.Method == "range" && strings.Contains(op.Key, "/data/") && seen.Add(1) == streamsOpen+2 {
				cancel(stop)
			}
			return memstore.OK
		})
		parent := t.TempDir()
		dir := filepath.Join(parent, "x", "y")
		_, err := c.RestoreDir(ctx, "", dir, &RestoreOptions{Resume: resume})
		if !errors.Is(err, stop) && !errors.Is(err, context.Canceled) {
			t.Errorf("the error hides the interruption: %v", err)
		}
		left, err := os.ReadDir(parent)
		if err != nil {
			t.Fatal(err)
		}
		if (len(left) > 0) != resume {
			t.Errorf("resume %t left %v", resume, left)
		}
		mem.SetFault(nil)
		mustRestore(t, c, dir, src, &RestoreOptions{Resume: resume})
		if free := len(c.job.store.buffers.free); free != cap(c.job.store.buffers.free) {
			t.Errorf("%d of %d buffers came back", free, cap(c.job.store.buffers.free))
		}
	}
}

// A pack that is damaged on its way is fetched again; one that stays damaged is corrupt, and nothing has its final name.
func TestDamageOnTheWay(t *testing.T) {
	for _, lasting := range []bool{false, true} {
		mem := memstore.New()
		want := files{"a": noise(1, 12<<20), "b": bytes.Repeat([]byte("compressible "), 300_000)}
		mustSave(t, openMem(t, mem), "j", want)
		noisy := &noisyStore{Store: mem, lasting: lasting}
		c := mustFind(t, mustJob(t, openMem(t, noisy), "j"), "latest")
		dir := filepath.Join(t.TempDir(), "new")
		_, err := c.RestoreDir(context.Background(), "", dir, nil)
		if lasting {
			wantKind(t, err, ErrCorrupt)
			if _, err := os.Stat(dir); !os.IsNotExist(err) {
				t.Errorf("left behind: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if d := want.diff(readDir(t, dir)); d != "" {
			t.Error(d)
		}
	}
}

// noisyStore flips a byte in the middle of what streams deliver; lasting: of every other read of data too.
type noisyStore struct {
	*memstore.Store
	lasting bool
}

func (n *noisyStore) OpenRange(ctx context.Context, key string, off, length int64) (io.ReadCloser, error) {
	b := make([]byte, length)
	if err := n.Store.ReadRange(ctx, key, off, b); err != nil {
		return nil, err
	}
	if strings.Contains(key, "/data/") {
		b[length/2] ^= 4
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (n *noisyStore) ReadRange(ctx context.Context, key string, off int64, p []byte) error {
	err := n.Store.ReadRange(ctx, key, off, p)
	if n.lasting && len(p) > format.MaxRaw/8 && strings.Contains(key, "/data/") {
		p[len(p)/2] ^= 4
	}
	return err
}

// readBytes counts what is read of packs.
type readBytes struct {
	*memstore.Store
	n atomic.Int64
}

func (r *readBytes) OpenRange(ctx context.Context, key string, off, n int64) (io.ReadCloser, error) {
	r.n.Add(n)
	return r.Store.OpenRange(ctx, key, off, n)
}

func (r *readBytes) ReadRange(ctx context.Context, key string, off int64, p []byte) error {
	r.n.Add(int64(len(p)))
	return r.Store.ReadRange(ctx, key, off, p)
}
