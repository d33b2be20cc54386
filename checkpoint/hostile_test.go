package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tidemark-go/tidemark/internal/format"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// linkParts are a manifest's parts: each name leads to a target, and has the directories above it.
func linkParts(links map[string]string) []*format.Part {
	parts := map[string]*format.Part{}
	for name, to := range links {
		parts[name] = &format.Part{Name: []byte(name), Kind: format.Part_SYMLINK, LinkTarget: []byte(to), Method: format.Part_FULL}
		for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
			parts[dir] = &format.Part{Name: []byte(dir), Kind: format.Part_DIRECTORY, Mode: 0o755, Method: format.Part_FULL}
		}
	}
	var list []*format.Part
	for _, p := range parts {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *format.Part) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return list
}

// checkSelection is what a restore of a manifest with these parts says before it writes anything.
func checkSelection(t *testing.T, c *Checkpoint, parts []*format.Part, match func(string) bool) error {
	t.Helper()
	l := format.NewPartList(nil)
	for _, p := range parts {
		if err := l.Append(p); err != nil {
			t.Fatal(err)
		}
	}
	l.Sort()
	_, _, err := (&selection{c: c, m: format.Contents{Parts: l}, match: match, local: filepath.FromSlash}).check()
	return err
}

// Links that each stay inside by their own text can lead out together. Neither a save nor a restore lets them pass.
func TestLinksThatLeadOutTogether(t *testing.T) {
	ctx := context.Background()
	all := func(string) bool { return true }
	c := &Checkpoint{job: &Job{name: "j"}, retained: &format.Retained{Id: &format.CheckpointID{Epoch: 1, Checkpoint: 1}}}
	for name, tt := range map[string]struct {
		links map[string]string
		bad   string // the one that is refused; empty if none is
	}{
		"through a link to the top":      {map[string]string{"p/q/d": "../..", "l": "p/q/d/../../etc/passwd"}, "l"},
		"at the link itself":             {map[string]string{"p/q/d": "../..", "l": "p/q/d/.."}, "l"},
		"behind something below it":      {map[string]string{"d": ".", "p/q/l": "../../d/x/../../y"}, "p/q/l"},
		"in a hidden directory":          {map[string]string{".p/q/d": "../..", "l": ".p/q/d/.."}, "l"},
		"up first, then through it":      {map[string]string{"p/d": "..", "p/q/l": "../d/../x"}, "p/q/l"},
		"through it, and not up again":   {map[string]string{"p/q/d": "../..", "l": "p/q/d/x"}, ""},
		"up beside a link":               {map[string]string{"p/d": "..", "p/l": "q/../x"}, ""},
		"up, where a name only looks so": {map[string]string{"d": ".", "l": "dd/../x"}, ""},
		"to a link, and to itself":       {map[string]string{"a": "b", "b": "a", "c": "c"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := checkSelection(t, c, linkParts(tt.links), all)
			dir := t.TempDir()
			for name, to := range tt.links {
				if err := errors.Join(os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755), os.Symlink(to, filepath.Join(dir, name))); err != nil {
					t.Fatal(err)
				}
			}
			_, saveErr := openMem(t, memstore.New()).Save(ctx, "j", func(w *Writer) error { return w.AddDir("", dir) }, nil)
			if tt.bad == "" {
				if err != nil || saveErr != nil {
					t.Errorf("refused: %v, %v", err, saveErr)
				}
				return
			}
			if e := wantKind(t, err, ErrInvalid); e.Part != tt.bad {
				t.Errorf("restore: the error names part %q", e.Part)
			}
			if e := wantKind(t, saveErr, ErrInvalid); e.Part != tt.bad || e.Hint == "" {
				t.Errorf("save: the error names part %q (hint %q)", e.Part, e.Hint)
			}
		})
	}
	// Selected alone, the link still is what it is: the other one may be there already.
	err := checkSelection(t, c, linkParts(map[string]string{"p/q/d": "../..", "l": "p/q/d/../x"}), func(name string) bool { return name == "l" })
	wantKind(t, err, ErrInvalid)
}

// The kernel as the judge: of random trees of links, those that are let pass lead nowhere outside.
func TestLinksAgainstTheKernel(t *testing.T) {
	const seed = 7
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	top := t.TempDir()
	for _, up := range []string{"", "a", "a/a", "a/a/a", "a/a/a/a", "a/a/a/a/a"} { // outside there is something at every name, or nothing would lead there
		for _, beside := range []string{"b", "c"} {
			if err := os.MkdirAll(filepath.Join(top, up, beside), 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	root := filepath.Join(top, "a", "a", "a", "a", "a", "a")
	passed, escapes := 0, 0
	for range 400 {
		tree := map[string]string{}
		for range 2 + random.IntN(4) {
			name := pick("a", "b", "c")
			for range random.IntN(3) {
				name += "/" + pick("a", "b", "c")
			}
			var to []string
			for range 1 + random.IntN(5) {
				to = append(to, pick("..", "..", "a", "b", "c"))
			}
			tree[name] = strings.Join(to, "/")
		}
		for name := range tree { // no part lies below a link
			for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
				delete(tree, dir)
			}
		}
		ok := true
		for name, to := range tree {
			if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
				t.Fatal(err)
			}
			ok = links(tree).check(name) == nil && ok
		}
		out := ""
		for name := range tree {
			if real, err := filepath.EvalSymlinks(filepath.Join(root, name)); err == nil && real != root && !strings.HasPrefix(real, root+"/") {
				out = fmt.Sprintf("%s leads to %s", name, real)
			}
		}
		switch {
		case ok && out != "":
			t.Fatalf("seed %d: %v: %s", seed, tree, out)
		case ok:
			passed++
		case out != "":
			escapes++
		}
		if err := os.RemoveAll(root); err != nil {
			t.Fatal(err)
		}
	}
	if passed < 30 || escapes < 30 {
		t.Errorf("%d trees pass and %d escape: this proves little", passed, escapes)
	}
}

// TestReplacedWhileRestored: another user replaces directories under a restore's feet. Whatever becomes of the restore, nothing is written
// where the links lead.
func TestReplacedWhileRestored(t *testing.T) {
	state := files{"sub/a": noise(1, 3*embedLimit), "sub/deep/b": noise(2, 3*embedLimit), "c": noise(3, 3*embedLimit)}
	for name, replace := range map[string]func(dir string) []string{
		"a directory that is merged into": func(dir string) []string { return []string{filepath.Join(dir, "sub")} },
		"one below it":                    func(dir string) []string { return []string{filepath.Join(dir, "sub", "deep")} },
		"the stage": func(dir string) []string {
			found, _ := filepath.Glob(filepath.Join(dir, stagePrefix+"*"))
			return found
		},
		"a directory of the stage": func(dir string) []string {
			found, _ := filepath.Glob(filepath.Join(dir, stagePrefix+"*", "sub"))
			return found
		},
		"the directory itself": func(dir string) []string { return []string{dir} },
	} {
		t.Run(name, func(t *testing.T) {
			mem := memstore.New()
			mustSave(t, openMem(t, mem.Peer()), "j", state)
			outside := t.TempDir()
			dir := files{"sub/mine": {1}, "sub/deep/mine": {2}}.write(t, filepath.Join(t.TempDir(), "x"))
			replaced := false
			peer := mem.Peer()
			peer.SetFault(func(op memstore.Op) memstore.Outcome {
				if op.Method == "range" && !replaced {
					replaced = true
					for _, victim := range replace(dir) {
						if err := errors.Join(os.Rename(victim, victim+".gone"), os.Symlink(outside, victim)); err != nil {
							t.Error(err)
						}
					}
				}
				return memstore.OK
			})
			s, err := newStore(peer, false, withDefaults(&Options{Concurrency: 1}))
			if err != nil {
				t.Fatal(err)
			}
			_, err = mustFind(t, mustJob(t, s, "j"), "latest").RestoreDir(context.Background(), "", dir, &RestoreOptions{Force: true})
			t.Logf("the restore says %v", err)
			if got := readDir(t, outside); !replaced || len(got) != 0 {
				t.Errorf("replaced: %v; outside there is %v", replaced, got)
			}
		})
	}
}

// TestPartNamesThatAreNoFiles: names that a store may hold and a file system must not get.
func TestPartNamesThatAreNoFiles(t *testing.T) {
	c := &Checkpoint{job: &Job{name: "j"}, retained: &format.Retained{Id: &format.CheckpointID{Epoch: 1, Checkpoint: 1}}}
	for _, name := range []string{"", ".", "..", "/", "/etc/x", "a//b", "a/", "a/.", "./a", "a/..", "../../x", "a/../../x", "nul\x00l", "a/\x00/b", strings.Repeat("x", 4097)} {
		for _, kind := range []format.Part_Kind{format.Part_FILE, format.Part_STREAM, format.Part_DIRECTORY} {
			part := &format.Part{Name: []byte(name), Kind: kind, Method: format.Part_FULL}
			if err := format.NewPartList(nil).Append(part); err == nil {
				t.Errorf("part %q: a manifest may hold it", name)
			}
			wantKind(t, c.checkName(part, name), ErrInvalid)
		}
	}
}
