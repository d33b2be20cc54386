package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// spoiling is a store of which the answer to one read, the n-th, is damaged on the way.
type spoiling struct {
	objstore.Store
	how string

	mu sync.Mutex
	n  int
}

func (s *spoiling) hits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.n--
	return s.n == 0
}

func (s *spoiling) Get(ctx context.Context, key string, limit int64) ([]byte, objstore.Version, error) {
	hit := s.hits()
	damage := &objstore.Error{Kind: objstore.KindCorrupt, Op: "get", Key: key, Err: errors.New("another CRC32C")}
	if hit && (s.how == "checksum" || strings.HasSuffix(key, "/HEAD")) { // of a HEAD nothing else can be told: it is what it says that it is
		return nil, objstore.Absent, damage
	}
	b, version, err := s.Store.Get(ctx, key, limit)
	if err != nil || !hit {
		return b, version, err
	}
	switch s.how {
	case "longer":
		damage.Kind = objstore.KindTooLarge
		return nil, objstore.Absent, damage
	case "other bytes": // those of another object, whole and with their right checksum
		return bytes.Repeat([]byte{7}, len(b)), version, nil
	}
	return b[:len(b)/2], version, nil
}

func (s *spoiling) ReadRange(ctx context.Context, key string, off int64, p []byte) error {
	hit := s.hits()
	if hit && s.how != "other bytes" {
		return &objstore.Error{Kind: objstore.KindCorrupt, Op: "range", Key: key, Err: errors.New("the object ends before the range does")}
	}
	err := s.Store.ReadRange(ctx, key, off, p)
	if hit {
		clear(p)
	}
	return err
}

// Whatever is damaged on the way is read once more: an answer that is wrong once is nobody's corruption. Each read of each operation is damaged in turn.
func TestDamageOnTheWayIsReadOnceMore(t *testing.T) {
	ctx := context.Background()
	mem := memstore.New()
	state := files{"a": noise(1, 3<<20), "b/c": []byte(strings.Repeat("compressible ", 40)), "d": noise(2, 300<<10)}
	mustSave(t, openMem(t, mem), "j", state)
	clear(state["a"][1<<20 : 1<<20+5000])
	mustSave(t, openMem(t, mem), "j", state)
	operations := map[string]func(*Job) error{
		"restore": func(j *Job) error {
			c, err := j.Latest(ctx)
			if err != nil {
				return err
			}
			dir := filepath.Join(t.TempDir(), "restored")
			if _, err = c.RestoreDir(ctx, "", dir, nil); err == nil {
				if d := state.diff(readDir(t, dir)); d != "" {
					t.Error(d)
				}
			}
			return err
		},
		"read": func(j *Job) error {
			c, err := j.Latest(ctx)
			if err != nil {
				return err
			}
			r, err := c.Open(ctx, "a")
			if err != nil {
				return err
			}
			got, err := io.ReadAll(r)
			if err == nil && !bytes.Equal(got, state["a"]) {
				t.Error("other bytes were read")
			}
			return errors.Join(err, r.Close())
		},
		"verify": func(j *Job) error {
			report, err := j.Verify(ctx, &VerifyOptions{Data: true})
			if err == nil && !report.OK() {
				t.Errorf("%+v", report.Problems)
			}
			return err
		},
		"collect": func(j *Job) error {
			_, err := j.Collect(ctx, nil)
			return err
		},
		"save": func(j *Job) error {
			_, err := j.store.Save(ctx, "j", addAll(state), nil) // compares with tables that it reads
			return err
		},
	}
	for name, operation := range operations {
		for _, how := range []string{"checksum", "shorter", "longer", "other bytes"} {
			t.Run(name+", "+how, func(t *testing.T) {
				for n := 1; ; n++ {
					s := &spoiling{Store: mem.Peer(), how: how, n: n}
					if err := operation(mustJob(t, openMem(t, s), "j")); err != nil {
						t.Fatalf("read %d: %v", n, err)
					}
					if s.n > 0 {
						break // there was no such read any more
					}
				}
			})
		}
	}
}
