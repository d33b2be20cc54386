package checkpoint

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tidemark-go/tidemark/internal/flock"
	"github.com/tidemark-go/tidemark/internal/format"
)

// stagePrefix begins the name of the directory in which a restore grows, so that people and later restores know what it is.
const stagePrefix = ".tidemark-restore-"

// stageDigest is how many bytes behind it say in hex what is restored: enough to tell the few apart that may be left in one directory.
const stageDigest = 8

// isStage reports whether a directory of that name is a restore's place to work, which nobody means to save.
func isStage(name string) bool {
	digits, ok := strings.CutPrefix(name, stagePrefix)
	if !ok || len(digits) != 2*stageDigest {
		return false
	}
	_, err := hex.DecodeString(digits)
	return err == nil
}

// stage is a restore's place to work: a directory inside of the one that it is for, hence on the same file system.
type stage struct {
	dir  string
	made string   // the topmost directory that had to be created for dir
	root *os.Root // dir
	lock *os.File // dir, locked
	name string   // of the stage in root
	work *os.Root // the stage

	found  bool // it was there already, with what an interrupted restore had fetched
	merge  bool // dir holds something: what is restored goes between
	placed []string
}

// openStage makes dir and the stage in it, and removes what other restores that died have left there.
func (c *Checkpoint) openStage(dir, prefix string, o RestoreOptions) (*stage, error) {
	id := format.Sum(append(slices.Clone(c.retained.ManifestHash), strings.TrimSuffix(prefix, "/")...))
	s := &stage{dir: dir, name: stagePrefix + hex.EncodeToString(id[:stageDigest])}
	if err := s.open(o); err != nil {
		_ = s.close() // the reason is err
		s.removeMade()
		return nil, err
	}
	return s, nil
}

func (s *stage) open(o RestoreOptions) (err error) {
	if s.made, err = makeDir(s.dir); err != nil {
		return err
	}
	if s.root, err = os.OpenRoot(s.dir); err != nil {
		return err
	}
	if s.lock, err = s.root.Open("."); err != nil {
		return err
	}
	if free, err := flock.Try(s.lock); err == nil && !free { // where nothing can be locked, restores are not kept apart
		return &Error{Kind: ErrConflict, Op: "restore", Err: fmt.Errorf("another restore is at work in directory %s", s.dir), Hint: "wait for it, or name another directory"}
	}
	entries, err := s.lock.ReadDir(-1)
	if err != nil {
		return err
	}
	if err := s.clear(entries, o); err != nil {
		return err
	}
	if !s.found {
		if err := s.root.Mkdir(s.name, 0o700); err != nil {
			return err
		}
	}
	s.work, err = s.root.OpenRoot(s.name)
	return err
}

// clear finds out what is in the directory, refuses what must not be touched, and removes the stages of others.
func (s *stage) clear(entries []fs.DirEntry, o RestoreOptions) error {
	var other string
	var stale []string
	for _, e := range entries {
		switch {
		case !strings.HasPrefix(e.Name(), stagePrefix):
			s.merge, other = true, e.Name()
		case e.Name() == s.name && o.Resume && e.IsDir():
			s.found = true
		default:
			stale = append(stale, e.Name())
		}
	}
	// A restore that died while it gave the final names has left some of them: what is there is compared, like in an update.
	if s.merge && !o.Force && !o.Update && !s.found {
		err := &Error{Kind: ErrInvalid, Op: "restore", Err: fmt.Errorf("directory %s is not empty (it holds %s)", s.dir, other),
			Hint: "name an empty or new directory, or use force to replace files of equal name, or update to fetch only what differs"}
		if slices.Contains(stale, s.name) {
			err.Hint = "a restore of this checkpoint was interrupted here: use resume to go on with it"
		}
		return err
	}
	for _, name := range stale {
		if err := s.root.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

// makeDir makes dir, and returns the topmost directory that it had to create.
func makeDir(dir string) (made string, err error) {
	if st, err := os.Stat(dir); err == nil {
		if !st.IsDir() {
			return "", &Error{Kind: ErrInvalid, Op: "restore", Err: fmt.Errorf("%s is not a directory", dir), Hint: "name a directory"}
		}
		return "", nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	made = dir
	for up := filepath.Dir(made); up != made; up = filepath.Dir(up) {
		if _, err := os.Stat(up); err == nil || !errors.Is(err, fs.ErrNotExist) {
			break
		}
		made = up
	}
	return made, os.MkdirAll(dir, 0o755)
}

// removeMade removes dir and its parents, as far as this restore created them and they are empty.
func (s *stage) removeMade() {
	if s.made == "" {
		return
	}
	for d := s.dir; ; d = filepath.Dir(d) {
		if err := os.Remove(d); err != nil || d == s.made {
			return
		}
	}
}

// discard removes the stage with what is in it.
func (s *stage) discard() error { return s.root.RemoveAll(s.name) }

func (s *stage) close() (err error) {
	if s.work != nil {
		err = s.work.Close()
	}
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close()) // unlocks
	}
	if s.root != nil {
		err = errors.Join(err, s.root.Close())
	}
	return err
}

// move gives a name of the stage its place below dir. What has that name there must be gone or replaceable by rename.
func (s *stage) move(name string) error {
	if err := s.root.Rename(filepath.Join(s.name, name), name); err != nil {
		return err
	}
	s.placed = append(s.placed, name)
	return nil
}

// moveTop is move for many names of the top.
func (s *stage) moveTop(names iter.Seq[string]) error {
	from, err := s.work.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }() // nothing was written to it
	for name := range names {
		if err := rename(from, s.lock, name); err != nil {
			return err
		}
		s.placed = append(s.placed, name)
	}
	return nil
}

// takeBack removes everything that move has placed.
func (s *stage) takeBack() {
	for _, name := range slices.Backward(s.placed) {
		_ = s.root.RemoveAll(name)
	}
}
