//go:build !linux

package checkpoint

import "os"

// opener opens the files of one directory tree.
type opener struct{ root *os.Root }

func newOpener(root *os.Root) (*opener, error) { return &opener{root}, nil }

func (o *opener) close() {}

func (o *opener) open(name string) (localFile, error) { return openSlowly(o.root, name) }

func (o *opener) openDir(name string) (*os.File, error) { return o.root.Open(name) }

func (o *opener) state(name string) (fileState, error) {
	st, err := o.root.Lstat(name)
	if err != nil {
		return fileState{}, err
	}
	return stateOfInfo(st), nil
}
