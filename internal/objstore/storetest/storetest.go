// Package storetest is the suite that every objstore.Store passes. Start with Run.
package storetest

import (
	"context"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// Options are for Run; the zero value and nil are the defaults.
type Options struct {
	// Gaps are tests that the server behind the store is known to fail, with the reason. They are reported as skipped
	// with that reason; a gap that names no test fails, so that the list cannot outlive its cause unnoticed.
	Gaps map[string]string
	// Racers is the number of concurrent writers in the races; the default is 64.
	Racers int
	// Address names a store to other processes of this test binary, which open it in Contend: the writers of one race are divided among
	// several. Nil is for a store that lives in this process alone, where all of them are.
	Address func(s objstore.Store) string
	// Refused are odd keys that the store, unlike others, has to refuse as invalid.
	Refused []string
}

type test struct {
	name string
	run  func(t *testing.T, ctx context.Context, s objstore.Store, o Options)
}

var tests = []test{
	{"RoundTrip", roundTrip},
	{"Large", large},
	{"Ranges", ranges},
	{"Streams", streams},
	{"Limit", limit},
	{"CreateOnce", createOnce},
	{"CreateRace", createRace},
	{"Swap", swap},
	{"SwapRace", swapRace},
	{"SwapDeleted", swapDeleted},
	{"SwapDeleteRace", swapDeleteRace},
	{"ProcessesRace", processesRace},
	{"ReadersSeeWholeObjects", readersSeeWholeObjects},
	{"VersionsNeverReturn", versionsNeverReturn},
	{"Stat", stat},
	{"Delete", remove},
	{"DeleteMany", removeMany},
	{"ListOrder", listOrder},
	{"ListPrefix", listPrefix},
	{"ListPages", listPages},
	{"ListConsistent", listConsistent},
	{"Dirs", dirs},
	{"DirsPages", dirsPages},
	{"OddKeys", oddKeys},
	{"InvalidKeys", invalidKeys},
	{"Cancelled", cancelled},
	{"CancelledMidway", cancelledMidway},
	{"CancelledStream", cancelledStream},
	{"Meter", meter},
	{"Probe", probe},
}

// Run tests the stores that open returns; each is fresh and empty, and open registers its clean-up.
func Run(t *testing.T, open func(t *testing.T) objstore.Store, o *Options) {
	if o == nil {
		o = &Options{}
	}
	opts := *o
	if opts.Racers == 0 {
		opts.Racers = 64
	}
	left := map[string]bool{}
	for name := range opts.Gaps {
		left[name] = true
	}
	for _, test := range tests {
		delete(left, test.name)
		t.Run(test.name, func(t *testing.T) {
			if reason, gap := opts.Gaps[test.name]; gap {
				t.Skipf("known gap: %s", reason)
			}
			test.run(t, t.Context(), open(t), opts)
		})
	}
	for name := range left {
		t.Errorf("the gap %q names no test", name)
	}
}

func put(t *testing.T, ctx context.Context, s objstore.Store, key, body string, cond objstore.Version) objstore.Version {
	t.Helper()
	v, err := s.Put(ctx, key, []byte(body), cond)
	if err != nil {
		t.Fatal(err)
	}
	if v == objstore.Absent {
		t.Fatalf("put %s: no error and no version", key)
	}
	return v
}

func get(t *testing.T, ctx context.Context, s objstore.Store, key string) (string, objstore.Version) {
	t.Helper()
	body, v, err := s.Get(ctx, key, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), v
}

// wantKind fails unless err is an error of this kind.
func wantKind(t *testing.T, err error, want objstore.Kind) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %v", want)
	}
	if got := objstore.KindOf(err); got != want {
		t.Fatalf("%v, want %v: %v", got, want, err)
	}
}
