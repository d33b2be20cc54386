package crash

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// A Cut says of each thing that was not synced whether the power cut spares it.
type Cut func() bool

// Nothing is spared.
func Nothing() Cut { return func() bool { return false } }

// Everything is spared.
func Everything() Cut { return func() bool { return true } }

// Chance decides by a seed.
func Chance(seed uint64) Cut {
	r := rand.New(rand.NewPCG(seed, 1))
	return func() bool { return r.IntN(2) == 0 }
}

// Image is what a power cut leaves: the content of files by name below the directory; nil for a directory, whose name ends in a slash. Links are left out.
type Image map[string][]byte

// Write makes the image's files below dir.
func (i Image) Write(dir string) error {
	for name, content := range i {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if content == nil {
			if err := os.MkdirAll(path, 0o777); err != nil {
				return err
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// Same reports whether two images are alike.
func (i Image) Same(other Image) bool {
	if len(i) != len(other) {
		return false
	}
	for name, content := range i {
		o, ok := other[name]
		if !ok || (o == nil) != (content == nil) || !bytes.Equal(o, content) {
			return false
		}
	}
	return true
}
