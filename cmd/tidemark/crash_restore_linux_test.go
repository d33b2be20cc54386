package main

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/checkpoint"
	"github.com/tidemark-go/tidemark/internal/crash"
)

// restoreVerb is a restore that is killed.
type restoreVerb struct {
	name  string
	flags []string
	had   tree // what lies in the directory before
	want  tree // after
	halt  bool // a restore that was killed in the middle has left its work there
	again checkpoint.RestoreOptions
}

// restoredTree is what is restored: nested, with a link's worth of trouble for whoever replaces files by directories.
var restoredTree = newTree.with("sub/deep/file", []byte("deep")).with("holes", make([]byte, 256<<10))

func restoreVerbs() []restoreVerb {
	earlier := oldTree.with("stranger/file", []byte("not of the job")).with("holes", noiseOf(9, 256<<10)).with("db/orders.db", changedAt(oldTree["db/orders.db"], 5))
	both := maps.Clone(restoredTree)
	both["stranger/file"] = earlier["stranger/file"]
	swapped := earlier.with("sub", []byte("a file where a directory comes")).with("offsets/dir/file", []byte("and a directory where a file comes"))
	delete(swapped, "offsets")
	return []restoreVerb{
		{name: "new directory", want: restoredTree, again: checkpoint.RestoreOptions{Resume: true}},
		{name: "resume", flags: []string{"--resume"}, halt: true, want: restoredTree, again: checkpoint.RestoreOptions{Resume: true}},
		{name: "force", flags: []string{"--force"}, had: earlier, want: both, again: checkpoint.RestoreOptions{Force: true}},
		{name: "update", flags: []string{"--update"}, had: earlier, want: both, again: checkpoint.RestoreOptions{Update: true}},
		{name: "update and resume", flags: []string{"--update", "--resume"}, had: earlier, halt: true, want: both, again: checkpoint.RestoreOptions{Update: true, Resume: true}},
		{name: "update and delete", flags: []string{"--update", "--delete"}, had: swapped, want: restoredTree, again: checkpoint.RestoreOptions{Update: true, Delete: true}},
	}
}

const restoredMode = 0o640

// stages are the directories in which restores grow.
const stages = ".tidemark-restore-*"

// TestKilledRestore kills a restore at every system call that changes a file. Nothing partial ever has its final name, what was there is there or
// replaced whole, and the next restore finishes the work and leaves nothing else.
func TestKilledRestore(t *testing.T) {
	startsMany(t)
	source := restoredTree.write(t, t.TempDir())
	for name := range restoredTree {
		if err := os.Chmod(filepath.Join(source, name), restoredMode); err != nil {
			t.Fatal(err)
		}
	}
	url := "file://" + filepath.Join(t.TempDir(), "store")
	for _, s := range []tree{firstTree, oldTree} {
		mustRun(t, "save", s.write(t, t.TempDir()), url, "--job", crashedJob)
	}
	mustRun(t, "save", source, url, "--job", crashedJob)
	for _, verb := range restoreVerbs() {
		t.Run(verb.name, func(t *testing.T) {
			template := filepath.Join(t.TempDir(), "target")
			verb.had.write(t, template)
			command := func(dir string) []string {
				return append([]string{"tidemark", "restore", url, dir, "--job", crashedJob}, verb.flags...)
			}
			if verb.halt {
				halt(t, command(template))
			}
			var dir string
			eachKill(t, 20, func() []string {
				dir = filepath.Join(t.TempDir(), "target")
				if verb.had != nil || verb.halt {
					if err := os.CopyFS(dir, os.DirFS(template)); err != nil {
						t.Fatal(err)
					}
				}
				return command(dir)
			}, func(t *testing.T, killed bool, call string) {
				verb.judge(t, dir, killed)
				verb.goOn(t, url, dir)
				if t.Failed() {
					t.Logf("restore (%s) was killed: %t, %s", verb.name, killed, call)
				}
			})
		})
	}
}

// halt kills a restore when it has written some of its files.
func halt(t *testing.T, args []string) {
	t.Helper()
	chmods := 0
	end := traced(t, args, func(c crash.Call) bool {
		if c.Done && c.Name == "fchmod" {
			chmods++
		}
		return chmods < 3
	})
	if !end.Killed {
		t.Fatal("the restore that was to be interrupted came to its end")
	}
}

func (v restoreVerb) judge(t *testing.T, dir string, killed bool) {
	t.Helper()
	now := treeOf(t, dir)
	for name, content := range now {
		if staged, _ := filepath.Match(stages, strings.SplitN(name, "/", 2)[0]); staged {
			if !killed {
				t.Errorf("%s is left", name)
			}
			continue
		}
		old, had := v.had[name]
		wanted, wants := v.want[name]
		switch {
		case wants && bytes.Equal(content, wanted):
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			if _, new := restoredTree[name]; new && !bytes.Equal(old, wanted) && info.Mode().Perm() != restoredMode {
				t.Errorf("%s has mode %v", name, info.Mode())
			}
		case !had || !bytes.Equal(content, old):
			t.Errorf("%s is neither what it was nor what it is to be (%d bytes)", name, len(content))
		case !killed:
			t.Errorf("%s is still there", name)
		}
	}
	for name := range v.had {
		_, there := now[name]
		_, wants := v.want[name]
		if !there && (wants || !v.again.Delete) {
			t.Errorf("%s is gone", name)
		}
	}
	for name := range v.want {
		if _, there := now[name]; !there && !killed {
			t.Errorf("%s is missing", name)
		}
	}
}

// goOn does what a user does next: the same again. Where that refuses, everything is there already, or it says what to do.
func (v restoreVerb) goOn(t *testing.T, url, dir string) {
	t.Helper()
	store := openUnpaced(t, url)
	defer func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	c, err := crashed(t, store).Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v.had == nil && !v.halt {
		_, err = c.RestoreDir(t.Context(), "", dir, nil)
	} else {
		_, err = c.RestoreDir(t.Context(), "", dir, &v.again)
	}
	if err != nil && (len(stagesIn(t, dir)) > 0 || !treeOf(t, dir).equal(v.want)) {
		if refused := new(checkpoint.Error); !errors.As(err, &refused) || !errors.Is(err, checkpoint.ErrInvalid) || !strings.Contains(refused.Hint, "resume") {
			t.Errorf("the same restore again: %v", err)
		}
		if _, err := c.RestoreDir(t.Context(), "", dir, &v.again); err != nil {
			t.Fatalf("with resume: %v", err)
		}
	}
	if !treeOf(t, dir).equal(v.want) {
		t.Error("after the next restore there are other files")
	}
	if left := stagesIn(t, dir); len(left) > 0 {
		t.Errorf("after the next restore there is %q", left)
	}
}

func stagesIn(t *testing.T, dir string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, stages))
	if err != nil {
		t.Fatal(err)
	}
	return found
}
