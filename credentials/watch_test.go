package credentials

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// replace puts another file in the place of path, as those who keep a token up to date do.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// A changed file is served within 5 s, whether its tokens state an expiry or not; a broken or missing one does
// no harm while the token in hand is valid.
func TestFileIsWatched(t *testing.T) {
	for name, text := range map[string]string{
		"bare": "%s\n",
		"JSON": `{"access_token":"%s","token_type":"Bearer","expiry":"2000-01-01T06:00:00Z"}`, // six hours into a bubble
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "token")
				replace(t, path, fmt.Sprintf(text, "first"))
				c := New(File(path, nil), nil)
				defer closing(t, c)
				serves := func(want string) {
					t.Helper()
					token, took := get(t, c)
					if token.Value() != want || took != 0 {
						t.Errorf("%v after the start: %s by waiting %v, want %s", time.Since(epoch), token.Value(), took, want)
					}
				}
				serves("first")
				for i, next := range []string{"second", "third", "first"} {
					time.Sleep(time.Duration(i+1) * 17 * time.Minute)
					replace(t, path, fmt.Sprintf(text, next))
					time.Sleep(clockCheck + time.Millisecond)
					synctest.Wait()
					serves(next)
				}
				write(t, path, "{") // in the middle of a write
				time.Sleep(clockCheck + time.Second)
				serves("first")
				if c.Stats().LastError == "" {
					t.Error("a broken file is not reported")
				}
				replace(t, path, fmt.Sprintf(text, "fourth"))
				time.Sleep(firstGap + firstJitter + time.Millisecond)
				synctest.Wait()
				serves("fourth")
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				serves("fourth")
				if n := c.Stats().Fetches; n > 8 {
					t.Errorf("the file was read %d times for 5 contents", n)
				}
			})
		})
	}
}

var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of every bubble

// Nobody has to ask: a token that is served has a keeper, one that is not used any more has none.
func TestFileOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := write(t, filepath.Join(t.TempDir(), "token"), "first")
		c := New(File(path, nil), nil)
		defer closing(t, c)
		get(t, c)
		resting := func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return c.keeper == nil
		}
		time.Sleep(time.Hour)
		if resting() {
			t.Error("the file is not watched after an hour")
		}
		time.Sleep(4 * time.Hour)
		synctest.Wait()
		if !resting() {
			t.Error("the file is still watched though nobody has asked for 5 h")
		}
		replace(t, path, "second")
		get(t, c) // may be the old one: nobody has looked
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if token, _ := get(t, c); token.Value() != "second" {
			t.Errorf("after a rest %s is served", token.Value())
		}
		for range 6 { // who asks once an hour keeps it awake
			time.Sleep(time.Hour)
			get(t, c)
		}
		if resting() {
			t.Error("the file is not watched though somebody asks every hour")
		}
	})
}

// A refused token is read again from the file at once.
func TestFileRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := write(t, filepath.Join(t.TempDir(), "token"), "first")
		c := New(File(path, &FileOptions{Account: "me"}), nil)
		defer closing(t, c)
		token, _ := get(t, c)
		if token.Account() != "me" {
			t.Errorf("the account is %q", token.Account())
		}
		replace(t, path, "second")
		c.Invalidate(token)
		if token, _ := get(t, c); token.Value() != "second" {
			t.Errorf("after a refusal %s is served", token.Value())
		}
	})
}

// Seconds in a file count from when it was written.
func TestFileAge(t *testing.T) {
	path := write(t, filepath.Join(t.TempDir(), "token"), `{"access_token":"x","expires_in":3600}`)
	written := time.Now().Add(-50 * time.Minute)
	if err := os.Chtimes(path, written, written); err != nil {
		t.Fatal(err)
	}
	token, err := File(path, nil).Fetch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(token.Expiry()); left > 10*time.Minute || left < 9*time.Minute {
		t.Errorf("the token lives %v", left)
	}
	written = written.Add(-20 * time.Minute)
	if err := os.Chtimes(path, written, written); err != nil {
		t.Fatal(err)
	}
	if _, err := File(path, nil).Fetch(t.Context()); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("a token that is dead: %v", err)
	}
}

func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]struct {
		path string
		want error
	}{
		"missing":    {filepath.Join(dir, "missing"), ErrMisconfigured},
		"directory":  {dir, ErrMisconfigured},
		"device":     {os.DevNull, ErrMisconfigured},
		"huge":       {write(t, filepath.Join(dir, "huge"), strings.Repeat("PLANTED", 10000)), ErrMisconfigured},
		"empty":      {write(t, filepath.Join(dir, "empty"), "\n"), ErrUnavailable},
		"two lines":  {write(t, filepath.Join(dir, "two"), "PLANTED\nPLANTED"), ErrUnavailable},
		"no token":   {write(t, filepath.Join(dir, "none"), `{"token":"PLANTED"}`), ErrUnavailable},
		"no life":    {write(t, filepath.Join(dir, "life"), `{"access_token":"PLANTED","expires_in":0}`), ErrUnavailable},
		"for ever":   {write(t, filepath.Join(dir, "ever"), `{"access_token":"PLANTED","expiry":"2999-01-01T00:00:00Z"}`), ErrUnavailable},
		"other kind": {write(t, filepath.Join(dir, "kind"), `{"access_token":"PLANTED","token_type":"MAC","expires_in":9}`), ErrUnavailable},
	} {
		_, err := File(c.path, nil).Fetch(t.Context())
		if !errors.Is(err, c.want) || strings.Contains(fmt.Sprint(err), "PLANTED") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Tokens that are made here are renewed ahead of time like any others.
func TestSelfSignedRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src, err := Key([]byte(keyJSON(t, nil)), &KeyOptions{SelfSigned: true})
		if err != nil {
			t.Fatal(err)
		}
		c := New(src, nil)
		defer closing(t, c)
		get(t, c)
		values := map[string]bool{}
		for range 3 * 60 {
			token, took := get(t, c)
			if took != 0 || time.Until(token.Expiry()) < 3*time.Minute {
				t.Fatalf("waited %v for a token that lives %v", took, time.Until(token.Expiry()))
			}
			values[token.Value()] = true
			time.Sleep(time.Minute)
		}
		if len(values) < 3 || len(values) > 5 {
			t.Errorf("%d tokens in 3 h", len(values))
		}
	})
}
