package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// The tests of this file and its neighbours kill the real command, with SIGKILL, at every request that it sends and at every system call that changes a file; and they cut
// the power. Whatever happens: what was acknowledged is there, what is there is whole, the next save works, and collection leaves nothing but
// what HEAD needs.

// startsMany leaves a test out of short runs, such as the one under the race detector, where a process takes a second to end.
func startsMany(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts some hundred processes, or judges as many stores; without -short")
	}
}

// tree is what files of a directory hold, by their names below it.
type tree map[string][]byte

// The state of the job that is killed, as it goes on. The database is large enough for packs to be objects of their own.
var (
	firstTree = tree{"db/orders.db": noiseOf(1, 300<<10), "db/000001.sst": []byte("sorted"), "offsets": []byte("41"), "empty": {}}
	oldTree   = firstTree.with("offsets", []byte("42")).with("db/orders.db", changedAt(firstTree["db/orders.db"], 250_000))
	newTree   = oldTree.with("offsets", []byte("43")).with("db/orders.db", changedAt(oldTree["db/orders.db"], 70_000)).with("db/000002.sst", noiseOf(2, 300<<10))
	nextTree  = newTree.with("offsets", []byte("44"))
)

func noiseOf(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

func changedAt(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at]++
	return b
}

func (s tree) with(name string, content []byte) tree {
	s = maps.Clone(s)
	s[name] = content
	return s
}

func (s tree) equal(other tree) bool { return maps.EqualFunc(s, other, bytes.Equal) }

func (s tree) write(t *testing.T, dir string) string {
	t.Helper()
	for name, content := range s {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// treeOf reads the files below a directory; one that does not exist has none.
func treeOf(t *testing.T, dir string) tree {
	t.Helper()
	s := tree{}
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && file == dir {
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		s[filepath.ToSlash(name)], err = os.ReadFile(file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s tree) add(w *checkpoint.Writer) error {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if err := w.Add(name, bytes.NewReader(s[name])); err != nil {
			return err
		}
	}
	return nil
}

// crashVerb is a command that is killed. STORE and STATE in its arguments stand for those.
type crashVerb struct {
	name    string
	args    []string
	before  []tree // what was saved before, the last one of which is acknowledged
	retired bool   // and all others retired
	commits bool   // newTree
	min     int    // that many requests and calls it has at least: fewer were not looked at
}

const crashedJob = "orders"

var crashVerbs = []crashVerb{
	{name: "first save", args: []string{"save", "STATE", "STORE", "--job", crashedJob}, commits: true, min: 3},
	{name: "save", args: []string{"save", "STATE", "STORE", "--job", crashedJob}, before: []tree{firstTree, oldTree}, commits: true, min: 3},
	{name: "tag", args: []string{"tag", "STORE", "--job", crashedJob, "latest", "kept"}, before: []tree{oldTree}, min: 2},
	{name: "retain", args: []string{"retain", "STORE", "--job", crashedJob, "--keep-last", "1"}, before: []tree{firstTree, oldTree}, min: 2},
	{name: "gc", args: []string{"gc", "STORE", "--job", crashedJob}, before: []tree{{"other": noiseOf(7, 300<<10)}, firstTree, oldTree}, retired: true, min: 4},
}

func (v crashVerb) command(store, state string) []string {
	args := slices.Clone(v.args)
	for i, a := range args {
		switch a {
		case "STORE":
			args[i] = store
		case "STATE":
			args[i] = state
		}
	}
	return append([]string{"tidemark"}, args...)
}

// prepare makes the store what it was before the verb.
func (v crashVerb) prepare(t *testing.T, store *tidemark.Store) {
	t.Helper()
	for _, s := range v.before {
		if _, err := store.Save(t.Context(), crashedJob, s.add, nil); err != nil {
			t.Fatal(err)
		}
	}
	if !v.retired {
		return
	}
	if _, err := crashed(t, store).Retain(t.Context(), checkpoint.Retention{KeepLast: 1}, false); err != nil {
		t.Fatal(err)
	}
}

func crashed(t *testing.T, store *tidemark.Store) *checkpoint.Job {
	t.Helper()
	j, err := store.Job(crashedJob)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// openUnpaced opens a store whose HEAD may be written at any rate.
func openUnpaced(t *testing.T, url string) *tidemark.Store {
	t.Helper()
	s, err := tidemark.Open(t.Context(), url, &tidemark.Options{Options: checkpoint.Options{HeadInterval: -1}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// judge looks at what the verb has left, which was acknowledged or not, and goes on with the job from there.
func (v crashVerb) judge(t *testing.T, url string, acknowledged bool) {
	t.Helper()
	store := openUnpaced(t, url)
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	v.judgeLatest(t, store, acknowledged)
	job := crashed(t, store)
	if _, err := store.Save(t.Context(), crashedJob, nextTree.add, &checkpoint.SaveOptions{Retention: checkpoint.Retention{KeepLast: 1}}); err != nil {
		t.Fatalf("the next save: %v", err)
	}
	if _, err := job.Untag(t.Context(), "kept"); err == nil {
		if _, err := job.Retain(t.Context(), checkpoint.Retention{KeepLast: 1}, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := job.Collect(t.Context(), nil); err != nil {
		t.Fatalf("the next collection: %v", err)
	}
	left, err := job.Collect(t.Context(), &checkpoint.CollectOptions{DryRun: true})
	if err != nil || left.DeletedObjects != 0 || left.PendingObjects != 0 || len(left.Unknown) != 0 {
		t.Errorf("collection leaves %+v, %v", left, err)
	}
	if got := latestTree(t, job); !got.equal(nextTree) {
		t.Errorf("the next checkpoint has other bytes than were saved")
	}
}

func (v crashVerb) judgeLatest(t *testing.T, store *tidemark.Store, acknowledged bool) {
	t.Helper()
	job := crashed(t, store)
	report, err := job.Verify(t.Context(), &checkpoint.VerifyOptions{Data: true})
	if errors.Is(err, checkpoint.ErrNotFound) {
		if len(v.before) > 0 || acknowledged {
			t.Errorf("no checkpoint is left: %v", err)
		}
		return
	}
	if err != nil || !report.OK() {
		t.Fatalf("verify: %v %+v", err, report.Problems)
	}
	got := latestTree(t, job)
	if v.commits && got.equal(newTree) {
		return
	}
	if v.commits && acknowledged {
		t.Error("the save was acknowledged, and is not the latest checkpoint")
		return
	}
	if n := len(v.before); n == 0 || !got.equal(v.before[n-1]) {
		t.Error("the latest checkpoint is neither the last one that was acknowledged nor the new one")
	}
}

func latestTree(t *testing.T, job *checkpoint.Job) tree {
	t.Helper()
	c, err := job.Latest(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := c.RestoreDir(t.Context(), "", dir, nil); err != nil {
		t.Fatal(err)
	}
	return treeOf(t, dir)
}
