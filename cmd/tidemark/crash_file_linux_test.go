package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/internal/crash"
)

// playground is a directory with a store in it, made anew for each run.
type playground struct{ template, state string }

// storeBelow is where the store lies in a playground: deep, so that directories above it have to be made and made durable.
const storeBelow = "new/store"

func newPlayground(t *testing.T, verb crashVerb) *playground {
	t.Helper()
	p := &playground{template: t.TempDir(), state: newTree.write(t, t.TempDir())}
	if len(verb.before) > 0 {
		store := openUnpaced(t, fileURL(p.template))
		verb.prepare(t, store)
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func fileURL(dir string) string { return "file://" + filepath.Join(dir, storeBelow) }

// fresh is a copy.
func (p *playground) fresh(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(p.template)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// traced runs a command under the tracer.
func traced(t *testing.T, args []string, at func(crash.Call) bool) crash.End {
	t.Helper()
	ctx, cancel := crash.Timeout(t.Context())
	defer cancel()
	var out bytes.Buffer
	end, err := crash.Run(ctx, crash.Command{Args: args, Env: os.Environ(), Output: &out}, at)
	if err != nil {
		t.Fatal(err)
	}
	if !end.Killed && end.Code != exitDone {
		t.Fatalf("%q: exit code %d\n%s", args, end.Code, &out)
	}
	return end
}

// eachKill kills a command once at each of its calls that change a file: before all of them, and also after those that give or take a name, which come into
// force at once. How many calls there are differs a little from run to run; it ends with the first run that ends by itself.
func eachKill(t *testing.T, minimum int, fresh func() []string, judge func(t *testing.T, killed bool, call string)) {
	t.Helper()
	for k := 1; ; k++ {
		var at crash.Call
		end := traced(t, fresh(), func(c crash.Call) bool {
			if c.N == k {
				at = c
			}
			return c.N != k
		})
		judge(t, end.Killed, fmt.Sprint("before call ", k, " ", at.Name))
		if !end.Killed {
			if k <= minimum {
				t.Errorf("only %d calls", k-1)
			}
			t.Logf("%d calls", k-1)
			return
		}
		if slices.Contains([]string{"linkat", "renameat", "renameat2", "unlinkat"}, at.Name) {
			end = traced(t, fresh(), func(c crash.Call) bool { return c.N != k || !c.Done })
			judge(t, end.Killed, fmt.Sprint("after call ", k, " ", at.Name))
		}
		if t.Failed() {
			return
		}
	}
}

// TestKilledAtEveryFileChange kills the command on a store in a directory at every system call that changes a file.
func TestKilledAtEveryFileChange(t *testing.T) {
	startsMany(t)
	for _, verb := range crashVerbs {
		t.Run(verb.name, func(t *testing.T) {
			p := newPlayground(t, verb)
			var dir string
			eachKill(t, verb.min, func() []string {
				dir = p.fresh(t)
				return verb.command(fileURL(dir), p.state)
			}, func(t *testing.T, killed bool, call string) {
				verb.judge(t, fileURL(dir), !killed)
				onlyObjects(t, filepath.Join(dir, storeBelow), killed)
				if t.Failed() {
					t.Logf("%s was killed: %t, %s", verb.name, killed, call)
				}
			})
		})
	}
}

// onlyObjects fails if there is anything in a store beside the objects of the job and the lock files: above all temporary files. A process that was killed between its last
// deletion in a directory and that of the directory leaves it empty; that is in nobody's way.
func onlyObjects(t *testing.T, store string, killed bool) {
	t.Helper()
	err := filepath.WalkDir(store, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		below, err := filepath.Rel(store, name)
		if err != nil {
			return err
		}
		dir, _ := filepath.Split(below)
		if !d.IsDir() {
			if !strings.HasPrefix(below, crashedJob+"/") && dir != ".tidemark/locks/" {
				t.Errorf("left behind: %s", below)
			}
			return nil
		}
		if entries, err := os.ReadDir(name); err != nil || len(entries) == 0 && !killed && below != ".tidemark/tmp" {
			t.Errorf("left behind: %s, empty (%v)", below, err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
