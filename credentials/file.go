package credentials

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// FileOptions adjusts a token file. The zero value and a nil pointer are good.
type FileOptions struct {
	Account string // whom the tokens stand for, for messages
}

// File is a file in which somebody else keeps a token up to date: a sidecar, a secrets agent, a mounted
// secret. It holds a bare token, or JSON with access_token and expiry (RFC 3339) or expires_in (seconds from
// the file's modification time).
//
// A cache looks every 5 s whether the file is another one by inode, size or modification time, reads it
// again then, and serves the new token. A token without a stated expiry is served until the file changes or
// the service refuses it. Who writes the file should replace it by a rename; one that changes while it is read
// is read again.
func File(path string, o *FileOptions) Source {
	f := &file{path: path}
	if abs, err := filepath.Abs(path); err == nil {
		f.path = abs // the working directory may change
	}
	if o != nil {
		f.account = o.Account
	}
	return f
}

type file struct {
	path    string
	account string

	mu   sync.Mutex
	seen fs.FileInfo // what the file was when it was last read
}

func (f *file) Identity() string { return identity("file", []string{f.path, f.account}, nil) }

func (f *file) Name() string { return "token file " + f.path }

func (f *file) Account(context.Context) (string, error) { return f.account, nil }

func (f *file) Fetch(context.Context) (*Token, error) {
	before, text, err := readBounded(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		e := f.fail(Misconfigured, err, "see whether who should write it runs, and where it writes")
		e.settle = settleMissing // a sidecar that starts together with us has not written it yet
		return nil, e
	}
	if err != nil {
		return nil, f.fail(Misconfigured, err, "give a readable file that holds a token")
	}
	f.mu.Lock()
	f.seen = before
	f.mu.Unlock()
	after, err := os.Stat(f.path)
	if err != nil || differ(before, after) {
		return nil, f.fail(Unavailable, errors.New("the file changed while it was read"), "replace it by a rename")
	}
	t, err := readToken(text, f.account, writtenAt(before.ModTime()))
	if err != nil {
		return nil, f.fail(Unavailable, fmt.Errorf("the file cannot be used: %w", err), "see whether who writes it still does")
	}
	return t, nil
}

// readBounded reads a file that holds a token.
func readBounded(path string) (fs.FileInfo, []byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	// A pipe would block the reader for as long as nobody writes, and could be read only once.
	if !info.Mode().IsRegular() {
		return nil, nil, errors.New("it is not a regular file")
	}
	opened, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = opened.Close() }()
	text, err := io.ReadAll(io.LimitReader(opened, maxBody+1))
	if err == nil && len(text) > maxBody {
		err = fmt.Errorf("it is longer than %d bytes", maxBody)
	}
	return info, text, err
}

// writtenAt is the moment of a modification time on both clocks, never in the future.
func writtenAt(modified time.Time) time.Time {
	now := time.Now()
	return now.Add(-max(now.Round(0).Sub(modified), 0))
}

// changed implements watched. A file that is gone has not changed: the token in hand may be good still.
func (f *file) changed() bool {
	f.mu.Lock()
	seen := f.seen
	f.mu.Unlock()
	now, err := os.Stat(f.path)
	return err == nil && seen != nil && differ(seen, now)
}

func differ(a, b fs.FileInfo) bool {
	return !os.SameFile(a, b) || a.Size() != b.Size() || !a.ModTime().Equal(b.ModTime())
}

func (f *file) fail(kind Kind, err error, remedy string) *Error {
	return &Error{Kind: kind, Source: f.Name(), Account: f.account, Err: err, Remedy: remedy}
}
