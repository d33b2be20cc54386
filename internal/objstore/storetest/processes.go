package storetest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// contenders are the processes among which the writers of a race are divided.
const contenders = 4

// contender carries out orders: another process on the same store, or, for a store that lives in this one, the store itself.
type contender interface {
	obey(t *testing.T, o order) outcome
}

// here is a contender in this process.
type here struct {
	ctx context.Context
	s   objstore.Store
}

func (h here) obey(_ *testing.T, o order) outcome { return obey(h.ctx, h.s, o) }

// process is this test binary, started again.
type process struct {
	orders io.WriteCloser
	lines  *bufio.Scanner
}

func start(t *testing.T, ctx context.Context, address string) *process {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), os.Args[0]) // it ends when there are no more orders
	cmd.Env = append(os.Environ(), contendVariable+"="+address)
	cmd.Stderr = os.Stderr
	orders, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	outcomes, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = orders.Close() // it has no more to do
		if err := cmd.Wait(); err != nil {
			t.Errorf("a contender: %v", err)
		}
	})
	lines := bufio.NewScanner(outcomes)
	lines.Buffer(nil, 16<<20)
	return &process{orders, lines}
}

func (p *process) obey(t *testing.T, o order) (out outcome) {
	line, err := json.Marshal(o)
	if err != nil {
		t.Error(err)
		return out
	}
	if _, err := p.orders.Write(append(line, '\n')); err != nil {
		t.Errorf("a contender takes no orders: %v", err)
		return out
	}
	if !p.lines.Scan() {
		t.Errorf("a contender ended: %v", p.lines.Err())
		return out
	}
	if err := json.Unmarshal(p.lines.Bytes(), &out); err != nil {
		t.Errorf("a contender said %q: %v", p.lines.Bytes(), err)
	}
	return out
}

// together has all contenders carry out the same order at once, and returns what became of it in each.
func together(t *testing.T, all []contender, o order) []outcome {
	t.Helper()
	outcomes := make([]outcome, len(all))
	var running sync.WaitGroup
	for i, c := range all {
		running.Go(func() { outcomes[i] = c.obey(t, o) })
	}
	running.Wait()
	for i, out := range outcomes {
		for _, failed := range out.Failed {
			t.Errorf("%s %s, contender %d: %s", o.Do, o.Key, i, failed)
		}
	}
	if t.Failed() {
		t.FailNow()
	}
	return outcomes
}

func won(outcomes []outcome) map[string]objstore.Version {
	all := map[string]objstore.Version{}
	for _, out := range outcomes {
		for body, v := range out.Won {
			all[body] = v
		}
	}
	return all
}

// processesRace is CreateRace, SwapRace and ListConsistent with the writers in several processes: what a store promises must not rest on
// anything that one of them holds in its memory.
func processesRace(t *testing.T, ctx context.Context, s objstore.Store, o Options) {
	all := make([]contender, contenders)
	for i := range all {
		all[i] = here{ctx, s}
		if o.Address != nil {
			all[i] = start(t, ctx, o.Address(s))
		}
	}
	share := o.Racers / contenders
	pids := map[int]bool{}
	for _, out := range together(t, all, order{Do: "list"}) {
		pids[out.Process] = true
	}
	if o.Address != nil && (len(pids) != contenders || pids[os.Getpid()]) {
		t.Fatalf("the writers are in the processes %v, this is %d", pids, os.Getpid())
	}
	var keys []string
	for round := range 3 {
		key := fmt.Sprintf("race/%d", round)
		first := oneWinner(t, ctx, s, key, won(together(t, all, order{Do: "write", Key: key, Writers: share})))
		second := oneWinner(t, ctx, s, key, won(together(t, all, order{Do: "write", Key: key, Cond: first, Writers: share})))
		if second == first {
			t.Fatalf("version %q stayed through a write", first)
		}
		keys = append(keys, key)
	}
	// All that was acknowledged, to whomever, is listed by everybody.
	for _, out := range together(t, all, order{Do: "scatter", Key: "race/9", Writers: share}) {
		keys = append(keys, out.Keys...)
	}
	slices.Sort(keys)
	for i, out := range together(t, all, order{Do: "list", Key: "race/"}) {
		if !slices.Equal(out.Keys, keys) {
			t.Errorf("contender %d lists %d keys, %d were written:\n%q\n%q", i, len(out.Keys), len(keys), out.Keys, keys)
		}
	}
	// No increment is lost.
	put(t, ctx, s, "count", "0 start", objstore.Absent)
	each := max(1, share/4)
	steps := won(together(t, all, order{Do: "count", Key: "count", Writers: each}))
	body, version := get(t, ctx, s, "count")
	if v, ok := steps[body]; !ok || v != version || len(steps) != contenders*each {
		t.Errorf("after %d increments of %d the counter holds %q", len(steps), contenders*each, body)
	}
	var n int
	if _, err := fmt.Sscan(body, &n); err != nil || n != contenders*each {
		t.Errorf("the counter is at %d, %d increments were acknowledged (%v)", n, contenders*each, err)
	}
}
