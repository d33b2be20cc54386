package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/tidemark-go/tidemark/emulator"
)

// deadly is a storage server that kills its client at one request.
type deadly struct {
	*emulator.Storage

	mu    sync.Mutex
	kill  func() // nil: no client is to be killed
	at    int
	apply bool // the request is carried out before
	n     int
	dead  bool
}

func (d *deadly) arm(at int, apply bool, kill func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at, d.apply, d.kill, d.n, d.dead = at, apply, kill, 0, false
}

// disarm returns how many requests there were.
func (d *deadly) disarm() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.kill = nil
	return d.n
}

func (d *deadly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	if d.kill == nil {
		d.mu.Unlock()
		d.Storage.ServeHTTP(w, r)
		return
	}
	d.n++
	now := d.n == d.at
	dead := d.dead
	d.dead = dead || now
	kill, apply := d.kill, d.apply
	d.mu.Unlock()
	switch {
	case now:
		if apply {
			d.Storage.ServeHTTP(httptest.NewRecorder(), r)
		}
		kill()
		panic(http.ErrAbortHandler)
	case dead: // what was on its way when the process died
		panic(http.ErrAbortHandler)
	}
	d.Storage.ServeHTTP(w, r)
}

// TestKilledAtEveryRequest kills the command at every request to the storage server, before and after it is carried out.
func TestKilledAtEveryRequest(t *testing.T) {
	startsMany(t)
	storage := &deadly{}
	cloud := emulator.Start(t, &emulator.Options{StorageHandler: func(authorize func(string) error) http.Handler {
		storage.Storage = emulator.NewStorage(&emulator.StorageOptions{Authorize: authorize})
		return storage
	}})
	for _, kv := range cloud.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	state := newTree.write(t, t.TempDir())
	for _, verb := range crashVerbs {
		for _, apply := range []bool{false, true} {
			name := verb.name + "/before"
			if apply {
				name = verb.name + "/after"
			}
			t.Run(name, func(t *testing.T) {
				for k := 1; ; k++ {
					url := cloud.StoreURL("checkpoints", fmt.Sprintf("%s-%d", strings.ReplaceAll(name, " ", "-"), k))
					if !killAtRequest(t, verb, storage, url, state, k, apply) || t.Failed() {
						if !t.Failed() && k <= verb.min {
							t.Errorf("only %d requests", k-1)
						}
						t.Logf("%d requests", k-1)
						return
					}
				}
			})
		}
	}
}

// killAtRequest returns false if the verb had fewer requests, and so came to its end.
func killAtRequest(t *testing.T, verb crashVerb, storage *deadly, url, state string, k int, apply bool) (more bool) {
	t.Helper()
	store := openUnpaced(t, url)
	verb.prepare(t, store)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	args := verb.command(url, state)
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Env = os.Environ()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	started := make(chan struct{})
	storage.arm(k, apply, func() {
		<-started
		_ = cmd.Process.Kill() // the judge sees if it lives on
	})
	err := cmd.Start()
	close(started)
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	requests := storage.disarm()
	if (requests >= k) != (err != nil) || err != nil && cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("request %d of %d: %v\n%s", k, requests, err, &out)
	}
	verb.judge(t, url, err == nil)
	if t.Failed() {
		t.Logf("%s was killed at request %d (carried out: %t)", verb.name, k, apply)
	}
	return requests >= k
}
