package objstore_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

func kind(k objstore.Kind) error {
	return &objstore.Error{Kind: k, Op: "test", Err: errors.New("as the test says")}
}

// failing is a store whose first n requests fail with err, without effect.
func failing(n int, err error) *memstore.Store {
	s := memstore.New()
	s.SetFault(func(op memstore.Op) memstore.Outcome {
		if op.N <= n {
			return memstore.Outcome{Err: err}
		}
		return memstore.OK
	})
	return s
}

func TestRetriesOnlyWhatMayPass(t *testing.T) {
	for _, c := range []struct {
		kind  objstore.Kind
		again bool
	}{
		{objstore.KindUnavailable, true}, {objstore.KindThrottled, true},
		{objstore.KindUnknown, false}, {objstore.KindPermission, false}, {objstore.KindCredentials, false},
		{objstore.KindUnsupported, false}, {objstore.KindInvalid, false}, {objstore.KindNoSpace, false}, {objstore.KindNotFound, false},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := failing(2, kind(c.kind))
				if _, err := s.Peer().Put(t.Context(), "k", []byte("body"), objstore.Absent); err != nil {
					t.Fatal(err)
				}
				var m objstore.Meter
				body, _, err := objstore.NewRetrying(s, nil).Get(objstore.WithMeter(t.Context(), &m), "k", 10)
				if !c.again {
					if objstore.KindOf(err) != c.kind || s.Requests() != 1 {
						t.Errorf("%v after %d requests", err, s.Requests())
					}
					return
				}
				if err != nil || string(body) != "body" || s.Requests() != 3 {
					t.Errorf("%q, %v after %d requests", body, err, s.Requests())
				}
				if got := m.Snapshot(); got.Get != 3 || got.Retries != 2 {
					t.Errorf("metered %+v", got)
				}
			})
		})
	}
}

func TestGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := failing(1<<30, kind(objstore.KindUnavailable))
		start := time.Now()
		_, err := objstore.NewRetrying(s, nil).Stat(t.Context(), "k")
		took := time.Since(start)
		var gave *objstore.GaveUp
		var e *objstore.Error
		if !errors.As(err, &gave) || !errors.As(err, &e) || e.Kind != objstore.KindUnavailable {
			t.Fatalf("%v", err)
		}
		if gave.Tries != s.Requests() || gave.Tries < 10 || gave.Elapsed != took || gave.Ended != nil {
			t.Errorf("%+v after %d requests in %s", gave, s.Requests(), took)
		}
		if took > 2*time.Minute || took < 100*time.Second {
			t.Errorf("took %s, the default patience is two minutes", took)
		}
	})
}

func TestOneTryOnly(t *testing.T) {
	s := failing(1<<30, kind(objstore.KindUnavailable))
	_, err := objstore.NewRetrying(s, &objstore.RetryOptions{MaxElapsed: -1}).Stat(t.Context(), "k")
	if objstore.KindOf(err) != objstore.KindUnavailable || s.Requests() != 1 {
		t.Errorf("%v after %d requests", err, s.Requests())
	}
}

func TestHonoursRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := &objstore.Error{Kind: objstore.KindThrottled, Op: "stat", RetryAfter: 20 * time.Second}
		s := failing(1, asked)
		start := time.Now()
		_, err := objstore.NewRetrying(s, nil).Stat(t.Context(), "k")
		if objstore.KindOf(err) != objstore.KindNotFound || time.Since(start) < 20*time.Second {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		// One that asks for more than our patience is not waited for.
		asked.RetryAfter = time.Hour
		start = time.Now()
		s.SetFault(func(memstore.Op) memstore.Outcome { return memstore.Outcome{Err: asked} })
		_, err = objstore.NewRetrying(s, nil).Stat(t.Context(), "k")
		if objstore.KindOf(err) != objstore.KindThrottled || time.Since(start) != 0 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
	})
}

func TestContextEndsTheWait(t *testing.T) {
	because := errors.New("the job was stopped")
	for _, c := range []struct {
		name  string
		fault memstore.Outcome
	}{
		{"between tries", memstore.Outcome{Err: &objstore.Error{Kind: objstore.KindUnavailable, RetryAfter: time.Minute}}},
		{"during a try", memstore.Outcome{Hang: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New()
				s.SetFault(func(memstore.Op) memstore.Outcome { return c.fault })
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(3*time.Second, func() { cancel(because) })
				start := time.Now()
				err := objstore.NewRetrying(s, nil).Delete(ctx, "k")
				if !errors.Is(err, because) || time.Since(start) != 3*time.Second || objstore.Retryable(err) && c.name == "during a try" {
					t.Errorf("%v after %s", err, time.Since(start))
				}
			})
		})
	}
}

func TestStalledTriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		s.SetFault(func(op memstore.Op) memstore.Outcome { return memstore.Outcome{Apply: true, Hang: op.N == 1} })
		start := time.Now()
		body := make([]byte, 8<<20)
		if err := objstore.NewRetrying(s, nil).Create(t.Context(), "k", body); err != nil {
			t.Fatal(err)
		}
		// 30 s, and 16 s for the body on the slowest link that is waited for.
		if took := time.Since(start); took < 46*time.Second || took > 47*time.Second {
			t.Errorf("took %s", took)
		}
	})
}

// TestCreateSettlesEveryOutcome tries what a writer can meet: the write was applied or not, and was reported as anything.
func TestCreateSettlesEveryOutcome(t *testing.T) {
	kinds := []objstore.Kind{
		objstore.KindUnknown, objstore.KindPrecondition, objstore.KindUnavailable, objstore.KindThrottled, objstore.KindCorrupt, objstore.KindNotFound,
	}
	for _, k := range kinds {
		for _, applied := range []bool{true, false} {
			for _, noCRC := range []bool{true, false} {
				t.Run(fmt.Sprint(k, " applied=", applied, " plain=", noCRC), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := memstore.New()
						s.SetFault(func(op memstore.Op) memstore.Outcome {
							if op.N == 1 {
								return memstore.Outcome{Apply: applied, Err: kind(k)}
							}
							return memstore.OK
						})
						var store objstore.Store = s
						if noCRC {
							store = plain{s}
						}
						err := objstore.NewRetrying(store, nil).Create(t.Context(), "k", []byte("body"))
						again := applied || objstore.Retryable(kind(k)) || k == objstore.KindPrecondition
						if again != (err == nil) {
							t.Fatalf("%v", err)
						}
						if exists := slices.Contains(s.Keys(), "k"); exists != again {
							t.Errorf("exists: %t", exists)
						}
						if v := s.Violations(); v != nil {
							t.Error(v)
						}
					})
				})
			}
		}
	}
}

// plain hides what a plain file does not have.
type plain struct{ objstore.Store }

func (p plain) Stat(ctx context.Context, key string) (objstore.Info, error) {
	info, err := p.Store.Stat(ctx, key)
	info.HasCRC32C, info.CRC32C, info.Version = false, 0, ""
	return info, err
}

func TestCreateRefusesOtherBytes(t *testing.T) {
	for _, other := range []string{"other", "four", ""} {
		for _, hide := range []bool{true, false} {
			s := memstore.New()
			if _, err := s.Put(t.Context(), "k", []byte(other), objstore.Absent); err != nil {
				t.Fatal(err)
			}
			var store objstore.Store = s
			if hide {
				store = plain{s}
			}
			err := objstore.NewRetrying(store, nil).Create(t.Context(), "k", []byte("body"))
			if objstore.KindOf(err) != objstore.KindPrecondition {
				t.Errorf("over %q: %v", other, err)
			}
		}
	}
}

// TestCreateMeetsItsOwnDelayedWrite: the first try lands while the second is on its way.
func TestCreateMeetsItsOwnDelayedWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		var land func() error
		s.SetFault(func(op memstore.Op) memstore.Outcome {
			switch op.N {
			case 1:
				return memstore.Outcome{Later: func(apply func() error) { land = apply }}
			case 2:
				if err := land(); err != nil {
					t.Error(err)
				}
			}
			return memstore.OK
		})
		if err := objstore.NewRetrying(s, nil).Create(t.Context(), "k", []byte("body")); err != nil {
			t.Error(err)
		}
		if s.Requests() != 3 { // put, put, stat
			t.Errorf("%d requests", s.Requests())
		}
	})
}

func TestSwapTriesOnce(t *testing.T) {
	s := failing(1, kind(objstore.KindUnavailable))
	_, err := objstore.NewRetrying(s, nil).Swap(t.Context(), "HEAD", nil, objstore.Absent)
	if !objstore.Unknown(err) || s.Requests() != 1 {
		t.Errorf("%v after %d requests", err, s.Requests())
	}
}

func TestDeadProcessDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := memstore.New()
		s.SetFault(func(memstore.Op) memstore.Outcome { return memstore.Outcome{Stop: true} })
		start := time.Now()
		r := objstore.NewRetrying(s, nil)
		_, _, getErr := r.Get(t.Context(), "k", 1)
		for _, err := range []error{r.Create(t.Context(), "k", nil), r.Delete(t.Context(), "k"), getErr} {
			if !errors.Is(err, memstore.ErrStopped) {
				t.Error(err)
			}
		}
		if time.Since(start) != 0 {
			t.Errorf("waited %s", time.Since(start))
		}
	})
}

func TestListResumes(t *testing.T) {
	for name, wrap := range map[string]func(*memstore.Store) objstore.Store{
		"from the last key":  func(s *memstore.Store) objstore.Store { return s },
		"from the beginning": func(s *memstore.Store) objstore.Store { return plain{s} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := memstore.New()
				var want, wantDirs []string
				for i := range 2*memstore.PageSize + 10 {
					key := fmt.Sprintf("l/%05d/x", i)
					want, wantDirs = append(want, key), append(wantDirs, key[:8])
					if _, err := s.Put(t.Context(), key, nil, objstore.Absent); err != nil {
						t.Fatal(err)
					}
				}
				s.SetFault(func(op memstore.Op) memstore.Outcome {
					if op.N%2 == 0 && op.N < 9 {
						return memstore.Outcome{Hang: op.N == 4, Err: kind(objstore.KindUnavailable)}
					}
					return memstore.OK
				})
				r := objstore.NewRetrying(wrap(s), nil)
				var got, gotDirs []string
				var m objstore.Meter
				ctx := objstore.WithMeter(t.Context(), &m)
				for info, err := range r.List(ctx, "l/") {
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, info.Key)
					if len(got)%memstore.PageSize == 7 {
						time.Sleep(time.Hour) // a slow consumer is no stalled store
					}
				}
				for dir, err := range r.Dirs(ctx, "l/") {
					if err != nil {
						t.Fatal(err)
					}
					gotDirs = append(gotDirs, dir)
				}
				if !slices.Equal(got, want) || !slices.Equal(gotDirs, wantDirs) {
					t.Errorf("%d keys and %d directories, want %d of each, once and in order", len(got), len(gotDirs), len(want))
				}
				if retries := m.Snapshot().Retries; retries != 4 {
					t.Errorf("%d retries for 4 failed pages", retries)
				}
			})
		})
	}
}

func TestListEndsWithTheFinalError(t *testing.T) {
	s := failing(1<<30, kind(objstore.KindPermission))
	n := 0
	for _, err := range objstore.NewRetrying(s, nil).List(t.Context(), "") {
		if n++; objstore.KindOf(err) != objstore.KindPermission {
			t.Error(err)
		}
	}
	if n != 1 {
		t.Errorf("%d steps", n)
	}
}

func TestDamagedBytesAreReadOnceMore(t *testing.T) {
	for name, read := range map[string]func(*objstore.Retrying) error{
		"get": func(r *objstore.Retrying) error {
			_, _, err := r.Get(t.Context(), "k", 1)
			return err
		},
		"range": func(r *objstore.Retrying) error { return r.ReadRange(t.Context(), "k", 0, make([]byte, 1)) },
		"stream": func(r *objstore.Retrying) error {
			s := r.Stream(t.Context(), "k", 0, 1)
			_, err := io.ReadFull(s, make([]byte, 1))
			return errors.Join(err, s.Close())
		},
		"opened stream": func(r *objstore.Retrying) error {
			s := r.Stream(t.Context(), "k", 0, 1)
			return errors.Join(s.Open(), s.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := failing(1, kind(objstore.KindCorrupt))
			if _, err := s.Peer().Put(t.Context(), "k", []byte("x"), objstore.Absent); err != nil {
				t.Fatal(err)
			}
			if err := read(objstore.NewRetrying(s, nil)); err != nil {
				t.Errorf("damaged once: %v", err)
			}
			for _, damage := range []objstore.Kind{objstore.KindCorrupt, objstore.KindTooLarge} {
				if err := read(objstore.NewRetrying(failing(2, kind(damage)), nil)); objstore.KindOf(err) != damage {
					t.Errorf("damaged twice: %v", err)
				}
			}
		})
	}
}
