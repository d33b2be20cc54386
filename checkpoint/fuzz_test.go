package checkpoint

import (
	"bytes"
	"context"
	"errors"
	"net/url"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
)

// FuzzStoreURL opens whatever is given for a store. It refuses by an error of its own, which does not say what may be a secret.
func FuzzStoreURL(f *testing.F) {
	for _, seed := range []string{
		"gs://bucket/prefix", "gs://bucket?endpoint=http%3A%2F%2F127.0.0.1%3A1", "gs://bucket?anonymous=true", "s3://bucket/a/b?region=us-east-1&endpoint=https://s3.example", "s3://b?use_path_style=yes",
		"azblob://container/p?storage_account=acme", "file:///tmp/x", "file://host/x", "file:relative", "mem://", "mem://name", "", ":", "gs://", "http://x", "gs://user:hunter2@bucket", "gs://b%zz", "s3://b?a=%zz",
	} {
		f.Add(seed)
	}
	f.Setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
	f.Setenv("AWS_SECRET_ACCESS_KEY", "example")
	f.Setenv("AZURE_STORAGE_ACCOUNT", "acme")
	f.Setenv("AZURE_STORAGE_KEY", "ZXhhbXBsZQ==")
	f.Fuzz(func(t *testing.T, text string) {
		if u, err := url.Parse(text); err == nil && u.Scheme == "file" && (u.Host == "" || u.Host == "localhost") {
			return // it would make directories
		}
		o := withDefaults(nil)
		s, _, err := openURL(context.Background(), text, &o)
		if err == nil {
			if strings.Contains(s.String(), "?") {
				t.Errorf("%q calls itself %q", text, s)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			return
		}
		if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrCredentials) {
			t.Errorf("%q: %v is of no kind", text, err)
		}
		if u, uerr := url.Parse(text); uerr == nil && u.User != nil {
			if password, _ := u.User.Password(); len(password) > 8 && strings.Contains(err.Error(), password) {
				t.Errorf("the error quotes the password: %v", err)
			}
		}
	})
}

// FuzzMendHead gives damaged HEADs to mend. What comes out is a HEAD that one bit makes of what went in, and it costs no more than a HEAD of that size.
func FuzzMendHead(f *testing.F) {
	whole, err := os.ReadFile("../internal/format/testdata/golden/v1/head")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, uint(0))
	f.Add(whole, uint(8*9+3))
	f.Add(whole, uint(8*len(whole)-1))
	f.Add([]byte{1, 2, 3}, uint(0))
	f.Fuzz(func(t *testing.T, b []byte, bit uint) {
		if len(b) == 0 {
			return
		}
		bad := withBit(b, int(bit%uint(8*len(b))))
		h := mendHead(bad)
		if want, err := format.DecodeHead(b); err == nil && (h == nil || !bytes.Equal(h.Nonce, want.Nonce)) {
			t.Errorf("bit %d of a HEAD of %d bytes is not turned back", bit%uint(8*len(b)), len(b))
		}
		if h == nil {
			return
		}
		if again, err := format.EncodeHead(h); err != nil || len(again) == 0 {
			t.Errorf("mended to what is no HEAD: %v", err)
		}
	})
}

// FuzzGlob compares matching with the definition, taken literally.
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{{"*.sst", "a/b/000.sst"}, {"**", "a"}, {"a/**/b", "a/b"}, {"**/x/**", "y/x/z"}, {"[", "["}, {"**/**/**", "a/b"}, {"", "a"}, {"a/*", "a/b/c"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, name string) {
		match, err := compileGlob(pattern)
		if err != nil || len(pattern) > 12 || len(name) > 16 || format.CheckPartName(name) != nil {
			return
		}
		parts := strings.Split(pattern, "/")
		want := pattern == "" || literally(parts, strings.Split(name, "/")) || (len(parts) == 1 && literally(parts, []string{name[strings.LastIndex(name, "/")+1:]}))
		if got := match(name); got != want {
			t.Errorf("%q matches %q: %t, want %t", pattern, name, got, want)
		}
	})
}

// FuzzTag: what is taken for a tag cannot be taken for another reference.
func FuzzTag(f *testing.F) {
	for _, seed := range []string{"before-upgrade", "latest", "-1", "12", "", "a b", "\x00", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, tag string) {
		h := &format.Head{Retained: []*format.Retained{{Id: &format.CheckpointID{Epoch: 1, Checkpoint: 7}}}, Last: &format.CheckpointID{Epoch: 1, Checkpoint: 7}}
		if checkTag(tag) != nil {
			return
		}
		if err := addTag(h, tag, 7); err != nil {
			t.Fatal(err)
		}
		h.Pins = nil
		if r, err := (&Job{name: "j"}).resolve(h, tag); err == nil || errors.Is(err, ErrInvalid) {
			t.Errorf("%q without its tag is %v, %v", tag, r, err)
		}
	})
}

// literally is what a pattern means, one segment at a time.
func literally(pattern, name []string) bool {
	if len(pattern) == 0 {
		return len(name) == 0
	}
	if pattern[0] == "**" {
		return literally(pattern[1:], name) || (len(name) > 0 && literally(pattern, name[1:]))
	}
	if len(name) == 0 {
		return false
	}
	ok, _ := path.Match(pattern[0], name[0])
	return ok && literally(pattern[1:], name[1:])
}

// TestHostileNamesMatchInTime: names come from whoever wrote the archive.
func TestHostileNamesMatchInTime(t *testing.T) {
	match, err := compileGlob("**/a/**/a/**/a/**/a/**/a/**/b")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan bool, 1)
	go func() { done <- match(strings.Repeat("a/", 2000) + "c") }()
	select {
	case got := <-done:
		if got {
			t.Error("matched")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("one name of 4 KiB takes more than 10 s")
	}
}
