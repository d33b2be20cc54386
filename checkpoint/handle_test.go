package checkpoint

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func TestHandlesThatAreRefused(t *testing.T) {
	ctx := context.Background()
	type world struct {
		mem *memstore.Store
		s   *Store
		o   *Owner
		c   *Writer
	}
	some := files{"db": noise(4, 2*embedLimit)}
	cases := map[string]struct {
		handle func(t *testing.T, w *world) []byte
		kind   error
		text   string
	}{
		"another job": {func(t *testing.T, w *world) []byte {
			other, err := w.s.Acquire(ctx, "other", nil)
			if err != nil {
				t.Fatal(err)
			}
			c := mustBegin(t, other, nil)
			h, _ := share(t, w.s, c, "w", some)
			return h
		}, ErrInvalid, `job "other"`},
		"another checkpoint": {func(t *testing.T, w *world) []byte {
			h, _ := share(t, w.s, mustBegin(t, w.o, nil), "w", some)
			return h
		}, ErrConflict, "of checkpoint 4"},
		"an older epoch": {func(t *testing.T, w *world) []byte {
			h, _ := share(t, w.s, w.c, "w", some)
			w.o = mustAcquire(t, w.s, nil)
			w.c = mustBegin(t, w.o, files{"mine": []byte("1")})
			return h
		}, ErrConflict, "epoch 1"},
		"a newer epoch": {func(t *testing.T, w *world) []byte {
			h, _ := share(t, w.s, mustBegin(t, mustAcquire(t, w.s, nil), nil), "w", some)
			return h
		}, ErrFenced, "epoch 2"},
		"another fence": {func(t *testing.T, w *world) []byte {
			return forge(t, w.s, w.c, some, func(h *format.Handle) { h.Fence = newNonce() })
		}, ErrConflict, "over"},
		"the coordinator's name": {func(t *testing.T, w *world) []byte {
			return forge(t, w.s, w.c, some, func(h *format.Handle) {
				h.Writer = mainWriter
				for _, o := range h.Objects {
					if sameID(o.Id, h.Id) {
						o.Writer = mainWriter
					}
				}
			})
		}, ErrInvalid, "own name"},
		"a part that is there": {func(t *testing.T, w *world) []byte {
			h, _ := share(t, w.s, w.c, "w", files{"mine": nil})
			return h
		}, ErrInvalid, `part "mine"`},
		"a part of another worker": {func(t *testing.T, w *world) []byte {
			h, _ := share(t, w.s, w.c, "v", some)
			mustTake(t, w.c, h)
			h, _ = share(t, w.s, w.c, "w", some)
			return h
		}, ErrInvalid, `part "db"`},
		"metadata that is there": {func(t *testing.T, w *world) []byte {
			w.c.SetMetadata("k", []byte("1"))
			return forge(t, w.s, w.c, some, func(h *format.Handle) { h.Metadata = []*format.Entry{{Key: "k", Value: []byte("2")}} })
		}, ErrInvalid, `key "k"`},
		"a base that is retired": {func(t *testing.T, w *world) []byte {
			return forge(t, w.s, w.c, some, func(h *format.Handle) { h.BaseManifest = newNonce() })
		}, ErrConflict, "not retained"},
		"a pack that its base does not have": {func(t *testing.T, w *world) []byte {
			return forge(t, w.s, w.c, files{"base": noise(9, 2*embedLimit)}, func(h *format.Handle) {
				for _, o := range h.Objects {
					if !sameID(o.Id, h.Id) {
						o.Nonce = newNonce()
					}
				}
				for _, p := range h.Parts {
					for _, s := range p.Segments {
						h.Parts[0].Segments = []*format.Segment{s}
					}
				}
			})
		}, ErrInvalid, "does not have"},
		"a pack of another worker": {func(t *testing.T, w *world) []byte {
			var theirs *format.Object
			b, _ := share(t, w.s, w.c, "v", some)
			h, err := format.DecodeHandle(b, nil)
			if err != nil {
				t.Fatal(err)
			}
			theirs = h.Objects[len(h.Objects)-1]
			mustTake(t, w.c, b)
			return forge(t, w.s, w.c, files{"db2": noise(5, 2*embedLimit)}, func(h *format.Handle) {
				for _, o := range h.Objects {
					if sameID(o.Id, h.Id) {
						o.Nonce = theirs.Nonce
					}
				}
			})
		}, ErrInvalid, "another's"},
		"nothing": {func(*testing.T, *world) []byte { return nil }, ErrCorrupt, ""},
		"a HEAD": {func(t *testing.T, w *world) []byte {
			b, _, err := w.s.objects.Get(ctx, "j/HEAD", format.MaxHead)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}, ErrCorrupt, ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mem := memstore.New()
			s := openMem(t, mem)
			w := &world{mem: mem, s: s, o: mustAcquire(t, s, nil)}
			mustCommit(t, mustBegin(t, w.o, files{"base": noise(9, 2*embedLimit)}))
			mustCommit(t, mustBegin(t, w.o, files{"base": noise(9, 2*embedLimit)}))
			w.c = mustBegin(t, w.o, files{"mine": []byte("1")})
			handle := tc.handle(t, w)
			before := w.c.Handles()
			_, err := w.c.AddHandle(handle)
			if e := wantKind(t, err, tc.kind); !strings.Contains(e.Error(), tc.text) {
				t.Errorf("%q does not say %q", e.Error(), tc.text)
			}
			if !slices.Equal(before, w.c.Handles()) {
				t.Errorf("the refused handle was taken: %+v", w.c.Handles())
			}
			if errors.Is(tc.kind, ErrFenced) {
				return
			}
			h, _ := share(t, s, w.c, "good", files{"good": []byte("1")})
			mustTake(t, w.c, h)
			mustCommit(t, w.c)
			got := slices.Collect(maps.Keys(restored(t, mustFind(t, w.o.Job, "latest"))))
			if !slices.Contains(got, "good") || !slices.Contains(got, "mine") {
				t.Errorf("parts %q", got)
			}
		})
	}
}

// forge is a worker's handle that somebody changed.
func forge(t *testing.T, s *Store, c *Writer, f files, change func(*format.Handle)) []byte {
	t.Helper()
	b, _ := share(t, s, c, "w", f)
	h, err := format.DecodeHandle(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	change(h)
	b, err = format.EncodeHandle(h, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Damaged handles and assignments are errors, whatever the damage.
func TestDamagedHandles(t *testing.T) {
	s := openMem(t, memstore.New())
	o := mustAcquire(t, s, nil)
	c := mustBegin(t, o, nil)
	handle, _ := share(t, s, c, "w", files{"db": noise(4, 2*embedLimit), "map": []byte("a=1")})
	assignment := mustAssignment(t, c)
	damage := func(b []byte, judge func([]byte) error) {
		for i := range b {
			d := slices.Clone(b)
			d[i] ^= 0x41
			var e *Error
			if err := judge(d); !errors.As(err, &e) {
				t.Fatalf("byte %d changed: %v", i, err)
			}
			if err := judge(b[:i]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("cut off after %d bytes: %v", i, err)
			}
		}
	}
	damage(handle, func(b []byte) error { _, err := c.AddHandle(b); return err })
	damage(assignment, func(b []byte) error { _, err := o.Join(context.Background(), b, "w"); return err })
	_, err := mustJob(t, s, "other").Join(context.Background(), assignment, "w")
	wantKind(t, err, ErrInvalid)
	_, err = o.Join(context.Background(), assignment, "")
	wantKind(t, err, ErrInvalid)
	_, err = o.Join(context.Background(), assignment, mainWriter)
	wantKind(t, err, ErrInvalid)
	mustTake(t, c, handle)
	mustCommit(t, c)
}

// A handle that comes after the commit, or after the abort, changes nothing; what the worker uploaded is garbage.
func TestLateHandle(t *testing.T) {
	mem := memstore.New()
	s := openMem(t, mem)
	o := mustAcquire(t, s, nil)
	for _, end := range []func(*Writer){func(w *Writer) { mustCommit(t, w) }, func(w *Writer) { _ = w.Abort() }} {
		c := mustBegin(t, o, files{"a": []byte("1")})
		handle, _ := share(t, s, c, "w", files{"db": noise(4, 2*embedLimit)})
		end(c)
		_, err := c.AddHandle(handle)
		wantKind(t, err, ErrConflict)
	}
	// The same where the coordinator would have to read the worker's base first.
	mustCommit(t, mustBegin(t, o, files{"db": noise(4, 2*embedLimit)}))
	c := mustBegin(t, mustAcquire(t, openMem(t, mem.Peer()), nil), files{"a": []byte("1")})
	handle, _ := share(t, s, c, "w", files{"db": noise(4, 2*embedLimit)})
	mustCommit(t, c)
	_, err := c.AddHandle(handle)
	wantKind(t, err, ErrConflict)
	mustCommit(t, mustBegin(t, mustAcquire(t, s, nil), files{"a": []byte("2")}))
	onlyNeeded(t, s, mem, "j")
}
