package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

const rotJob = "flows"

// archive is a store that can be damaged: its objects by key.
type archive map[string][]byte

// archiveOf reads all objects of a store.
func archiveOf(t testing.TB, mem *memstore.Store) archive {
	t.Helper()
	a := archive{}
	for _, key := range mem.Keys() {
		b, _, err := mem.Get(context.Background(), key, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		a[key] = b
	}
	return a
}

// with is a copy in which an object is another one; nil: in which there is none.
func (a archive) with(key string, b []byte) archive {
	c := maps.Clone(a)
	if c[key] = b; b == nil {
		delete(c, key)
	}
	return c
}

func (a archive) mem(t testing.TB) *memstore.Store {
	t.Helper()
	mem := memstore.New()
	for key, b := range a {
		if _, err := mem.Put(context.Background(), key, b, objstore.Absent); err != nil {
			t.Fatal(err)
		}
	}
	return mem
}

// sparse is content of which little is stored: n pages, of which those in some are noise of a few bytes, repeated.
func sparse(n int, some ...int) []byte {
	b := make([]byte, n*4096)
	for _, page := range some {
		for i := range 4096 {
			b[page*4096+i] = byte(page + i%7)
		}
	}
	return b
}

// rotten is what the tests below damage: a job of three checkpoints, in which every way to store something is used.
type rotten struct {
	archive archive
	keeper  Keeper
	states  map[uint64]files
	infos   []Info
	parts   map[uint64][]PartInfo
}

// newRotten saves, each time with small packs by a worker and the rest in the manifest: 1, everything; 2, a page of a large part (so its table gets a
// delta) and the middle of a stream changed; 3, one part of the manifest's changed.
func newRotten(t testing.TB, job string, keeper Keeper) *rotten {
	t.Helper()
	ctx := context.Background()
	stream := bytes.Repeat([]byte("the tide comes in, the tide goes out; "), 2000)
	small := files{"conf": noise(3, 700), "empty": {}, "note": []byte("a=1")}
	r := &rotten{keeper: keeper, states: map[uint64]files{}, parts: map[uint64][]PartInfo{}}
	tables := [][]byte{sparse(70, 3, 4, 60), sparse(70, 3, 5, 60), sparse(70, 3, 5, 60)}
	streams := [][]byte{stream, slices.Concat(stream[:30_000], []byte("and stays a while; "), stream[30_000:]), nil}
	streams[2] = streams[1]
	mem := memstore.New()
	s := r.open(t, mem)
	o, err := s.Acquire(ctx, job, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range tables {
		if i == 2 {
			small["note"] = []byte("a=2")
		}
		state := maps.Clone(small)
		state["dir/table"], state["stream"] = tables[i], streams[i]
		w, err := o.Begin(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		assignment, err := w.Assignment()
		if err != nil {
			t.Fatal(err)
		}
		worker, err := o.Join(ctx, assignment, "far")
		if err != nil {
			t.Fatal(err)
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(worker.Add("dir/table", bytes.NewReader(tables[i]), Pages("*")))
		must(worker.Add("stream", bytes.NewReader(streams[i])))
		handle, err := worker.Finish(ctx)
		must(err)
		_, err = w.AddHandle(handle)
		must(err)
		must(addAll(small)(w))
		w.SetMetadata("offset", []byte(fmt.Sprint(100*i)))
		info, err := w.Commit(ctx)
		must(err)
		r.states[info.Checkpoint] = state
	}
	j := mustJob(t, s, job)
	if _, err := j.Tag(ctx, "1", "first"); err != nil {
		t.Fatal(err)
	}
	if r.infos, err = j.List(ctx); err != nil {
		t.Fatal(err)
	}
	for c := range r.states {
		if r.parts[c], err = mustFind(t, j, fmt.Sprint(c)).Parts(ctx); err != nil {
			t.Fatal(err)
		}
	}
	r.archive = archiveOf(t, mem)
	return r
}

func (r *rotten) open(t testing.TB, s objstore.Store) *Store {
	t.Helper()
	store, err := newStore(s, false, withDefaults(&Options{Compression: CompressionZstd, Keeper: r.keeper, KeeperName: "test"}))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// TestRottenHasEverything holds the fixture to what it is for.
func TestRottenHasEverything(t *testing.T) {
	ctx := context.Background()
	r := newRotten(t, rotJob, nil)
	j := mustJob(t, r.open(t, r.archive.mem(t)), rotJob)
	has := map[string]bool{}
	for number := range r.states {
		m, err := mustFind(t, j, fmt.Sprint(number)).manifest(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range m.Objects {
			has["a pack in the manifest"] = has["a pack in the manifest"] || o.Embedded && len(o.ManifestNonce) == 0
			has["a pack in an older manifest"] = has["a pack in an older manifest"] || len(o.ManifestNonce) > 0
			has["a pack of its own"] = has["a pack of its own"] || !o.Embedded
			has["a pack of the base"] = has["a pack of the base"] || !o.Embedded && o.Id.Checkpoint < number
		}
		for _, p := range m.Parts.All() {
			has["method "+p.Method.String()] = true
			for _, s := range p.Segments {
				has["an inline table"] = has["an inline table"] || s.GetInline() != nil
				has["a stored table"] = has["a stored table"] || s.GetStored() != nil
				has["a delta"] = has["a delta"] || s.Delta != nil
			}
		}
	}
	for _, what := range []string{
		"a pack in the manifest", "a pack in an older manifest", "a pack of its own", "a pack of the base", "method FULL", "method PAGES", "method CONTENT",
		"an inline table", "a stored table", "a delta",
	} {
		if !has[what] {
			t.Errorf("the fixture lacks %s", what)
		}
	}
	at, err := j.readHead(ctx)
	if err != nil || len(at.head.LastBody) == 0 {
		t.Errorf("HEAD carries no manifest: %v", err)
	}
}

// rot is one way to damage an archive.
type rot struct {
	what    string
	key     string
	archive archive
	whole   bool // restored to a directory too, which takes time
}

// rots damages every object: each byte, its length, its being there, its being itself. others are objects of other jobs, by what they are.
func (r *rotten) rots(step int, others map[string]archive, yield func(rot)) {
	for _, key := range slices.Sorted(maps.Keys(r.archive)) {
		b := r.archive[key]
		for i := 0; i < len(b); i += step {
			bit := (i ^ i>>3) & 7
			yield(rot{fmt.Sprintf("bit %d of byte %d", bit, i), key, r.archive.with(key, withBit(b, 8*i+bit)), i%37 == 0})
		}
		for _, n := range []int{0, 1, 7, 8, 15, 16, 17, len(b) / 2, len(b) - 17, len(b) - 1} {
			yield(rot{fmt.Sprintf("cut to %d", n), key, r.archive.with(key, b[:n:n]), true})
		}
		yield(rot{"a byte too many", key, r.archive.with(key, append(slices.Clone(b), 0)), true})
		yield(rot{"removed", key, r.archive.with(key, nil), true})
		for other, c := range r.archive {
			if other != key {
				yield(rot{"replaced by " + other, key, r.archive.with(key, c), true})
				yield(rot{"exchanged with " + other, key, r.archive.with(key, c).with(other, b), true})
			}
		}
		for of, a := range others {
			for other, c := range a {
				yield(rot{"replaced by " + of + " " + other, key, r.archive.with(key, c), true})
			}
		}
	}
}

// TestRotIsFound damages every byte of every object of a job, in the clear and encrypted. Verification finds each damage and says where it is, and what it does not name
// can be read: never does anything wrong come out of the store.
func TestRotIsFound(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 41
	}
	for name, keeper := range map[string]Keeper{"clear": nil, "sealed": newTestKeeper(1)} {
		t.Run(name, func(t *testing.T) {
			r := newRotten(t, rotJob, keeper)
			others := map[string]archive{"the same job's in another store": newRotten(t, rotJob, keeper).archive, "another job's": newRotten(t, "other", keeper).archive}
			if keeper != nil {
				others["an unencrypted job's"] = newRotten(t, rotJob, nil).archive
			}
			work := make(chan rot)
			var wg sync.WaitGroup
			for range runtime.GOMAXPROCS(0) {
				wg.Go(func() {
					for d := range work {
						r.judge(t, d, d.archive.mem(t), true)
					}
				})
			}
			n := 0
			r.rots(step, others, func(d rot) { n++; work <- d })
			close(work)
			wg.Wait()
			t.Logf("%d damages of %d objects", n, len(r.archive))
		})
	}
}

// believing is a store that does not notice that its disks rot: it tells the checksums that objects were written with.
type believing struct {
	*memstore.Store
	was archive
}

func (b believing) List(ctx context.Context, prefix string) iter.Seq2[objstore.Info, error] {
	return func(yield func(objstore.Info, error) bool) {
		for i, err := range b.Store.List(ctx, prefix) {
			i.CRC32C = objstore.CRC32C(b.was[i.Key])
			if !yield(i, err) {
				return
			}
		}
	}
}

// TestRotUnderAnUnawareStore is the same where the listing's checksum is that of what was written. Then --data finds what any checkpoint needs by reading it; bytes
// of a pack that nobody needs are not read, and nothing is claimed of them.
func TestRotUnderAnUnawareStore(t *testing.T) {
	step := 3
	if testing.Short() {
		step = 101
	}
	r := newRotten(t, rotJob, nil)
	for _, key := range slices.Sorted(maps.Keys(r.archive)) {
		b := r.archive[key]
		unneeded := 0
		for i := 0; i < len(b); i += step {
			d := rot{what: fmt.Sprintf("byte %d", i), key: key, archive: r.archive.with(key, withBit(b, 8*i+i&7))}
			if !r.judge(t, d, believing{d.archive.mem(t), r.archive}, false) {
				unneeded++
			}
		}
		if unneeded > 0 && !strings.Contains(key, "/data/") {
			t.Errorf("%s: %d damaged bytes are not found", key, unneeded)
		}
		t.Logf("%s: of every %d. of %d bytes %d are needed by nobody", key, step, len(b), unneeded)
	}
}

// judge looks at a damaged store in every way. mustFind: the damage has to be found, since the store's checksums tell of it. It reports whether it was.
func (r *rotten) judge(t *testing.T, d rot, mem objstore.Store, mustFind bool) (found bool) {
	ctx := context.Background()
	wrong := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s %s: %s", d.key, d.what, fmt.Sprintf(format, args...))
	}
	j, err := r.open(t, mem).Job(rotJob)
	if err != nil {
		t.Error(err)
		return false
	}
	report, err := j.Verify(ctx, &VerifyOptions{Data: true})
	if err != nil {
		wrong("verify: %v", err)
		return false
	}
	// What verification says is wrong, by checkpoint (0: the job) and part (empty: all of it, or an object).
	type place struct {
		checkpoint uint64
		part       string
	}
	named, pointed, foreign := map[place]bool{}, false, false
	for _, p := range report.Problems {
		named[place{p.Checkpoint, p.Part}] = true
		pointed = pointed || p.Object == d.key
		foreign = foreign || (strings.HasSuffix(d.key, "/HEAD") && p.Repairable())
		if p.Detail == "" || p.Object == "" || (p.Checkpoint == 0) != (p.Kind == "head") {
			wrong("an unclear problem: %+v", p)
		}
	}
	found = !report.OK()
	head := named[place{}] // without it nothing else can be looked at
	hidden := head && strings.HasPrefix(d.what, "exchanged with ")
	if mustFind && !pointed && !foreign && !hidden {
		wrong("not found: %+v", report.Problems)
	}
	another := strings.HasPrefix(d.what, "replaced by ") && strings.HasSuffix(d.what, "/HEAD") && strings.HasSuffix(d.key, "/HEAD") // it is a HEAD
	if infos, err := j.List(ctx); err != nil {
		r.typed(wrong, "list", err)
	} else if !another && !reflect.DeepEqual(infos, r.infos) {
		wrong("listed are %+v", infos)
	}
	if c, err := j.Latest(ctx); err != nil {
		r.typed(wrong, "latest", err)
	} else if !another && c.Info().Checkpoint != 3 {
		wrong("latest is %d", c.Info().Checkpoint)
	}
	for number, state := range r.states {
		c, err := j.Find(ctx, fmt.Sprint(number))
		if err != nil {
			r.typed(wrong, "find", err)
			if !head && !another {
				wrong("checkpoint %d cannot be found, and verification does not say why", number)
			}
			continue
		}
		parts, err := c.Parts(ctx)
		switch {
		case err != nil:
			r.typed(wrong, "show", err)
		case !reflect.DeepEqual(parts, r.parts[number]):
			wrong("checkpoint %d consists of %+v", number, parts)
		}
		manifest := slices.ContainsFunc(report.Problems, func(p Problem) bool { return p.Checkpoint == number && p.Repairable() })
		for part, want := range state {
			got, err := readWhole(ctx, c, part)
			if err != nil {
				r.typed(wrong, "read", err)
			} else if !bytes.Equal(got, want) {
				wrong("checkpoint %d: part %s is read with wrong bytes", number, part)
			}
			// HEAD may carry a copy of a damaged manifest: then it is read all the same.
			if blamed := named[place{number, part}]; blamed && err == nil || err != nil && !blamed && !manifest && !head && !another {
				wrong("checkpoint %d: part %s: %v, and verification says %+v", number, part, err, report.Problems)
			}
		}
		if !d.whole {
			continue
		}
		dir := filepath.Join(t.TempDir(), "d")
		if _, err := c.RestoreDir(ctx, "", dir, nil); err != nil {
			r.typed(wrong, "restore", err)
			if _, err := os.Stat(dir); err == nil && len(readDir(t, dir)) > 0 {
				wrong("checkpoint %d: a failed restore left something", number)
			}
		} else if diff := state.diff(readDir(t, dir)); diff != "" {
			wrong("checkpoint %d is restored, and %s", number, diff)
		}
	}
	return found
}

// typed fails unless err has a kind that a damaged store may have.
func (r *rotten) typed(wrong func(string, ...any), op string, err error) {
	if !errors.Is(err, ErrCorrupt) {
		wrong("%s: %v is not of kind corrupt", op, err)
	}
}

func readWhole(ctx context.Context, c *Checkpoint, part string) ([]byte, error) {
	p, err := c.Open(ctx, part)
	if err != nil {
		return nil, err
	}
	b := bytes.NewBuffer(make([]byte, 0, p.Size()+bytes.MinRead))
	_, err = b.ReadFrom(p)
	return b.Bytes(), errors.Join(err, p.Close())
}
