package credentials

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCommand(t *testing.T) {
	sh := func(lines string) []string { return []string{"/bin/sh", "-c", lines} }
	for name, c := range map[string]struct {
		argv []string
		life time.Duration
		left time.Duration // about; 0 for a token of unknown expiry
		want error
		says string
	}{
		"bare":           {argv: sh("echo ya29.x; echo PLANTED >&2")},
		"bare with life": {argv: sh("echo ya29.x"), life: 10 * time.Minute, left: 10 * time.Minute},
		"seconds":        {argv: sh(`echo '{"access_token":"ya29.x","expires_in":600}'`), life: time.Hour, left: 10 * time.Minute},
		"no shell":       {argv: []string{"echo", "ya29.x;", "exit"}, want: ErrUnavailable, says: "no header may carry"},
		"fails":          {argv: sh("echo PLANTED >&2; exit 7"), want: ErrUnavailable, says: "exit code 7"},
		"dies":           {argv: sh("kill -9 $$"), want: ErrUnavailable, says: "killed"},
		"nothing":        {argv: sh("true"), want: ErrUnavailable, says: "no token"},
		"floods":         {argv: sh("while echo PLANTED; do :; done"), want: ErrUnavailable, says: "more than 65536"},
		"missing":        {argv: []string{"/does/not/exist"}, want: ErrMisconfigured, says: "no such file"},
		"not in path":    {argv: []string{"tidemark-no-such-program"}, want: ErrMisconfigured, says: "not found"},
	} {
		t.Run(name, func(t *testing.T) {
			src, err := Command(c.argv, &CommandOptions{Allow: true, Life: c.life, Account: "me"})
			if err != nil {
				t.Fatal(err)
			}
			token, err := src.Fetch(t.Context())
			if c.want != nil {
				if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "PLANTED") {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if token.Value() != "ya29.x" || token.Account() != "me" || token.lasting() != (c.left == 0) {
				t.Errorf("got %s for %s, lasting: %v", token.Value(), token.Account(), token.lasting())
			}
			if left := time.Until(token.deadline); c.left > 0 && (left > c.left || left < c.left-10*time.Second) {
				t.Errorf("the token lives %v, want %v", left, c.left)
			}
		})
	}
}

func TestCommandNeedsLeave(t *testing.T) {
	for _, o := range []*CommandOptions{nil, {}} {
		if _, err := Command([]string{"true"}, o); !errors.Is(err, ErrMisconfigured) || !strings.Contains(err.Error(), "Allow") {
			t.Errorf("got %v", err)
		}
	}
	if _, err := Command(nil, &CommandOptions{Allow: true}); !errors.Is(err, ErrMisconfigured) {
		t.Errorf("an empty command: %v", err)
	}
}

// A command has its own time, also below an impersonated account, and is never run twice at once.
func TestPatient(t *testing.T) {
	command, err := Command([]string{"true"}, &CommandOptions{Allow: true, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	above, err := Impersonate(command, "robot@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	identity, err := IDToken(above, "audience")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		src  Source
		want time.Duration
	}{{command, 20 * time.Second}, {above, 26 * time.Second}, {identity, 26 * time.Second}, {Static("x", ""), attemptTime}} {
		if got := New(c.src, nil).opts.AttemptTimeout; got != c.want {
			t.Errorf("%s has %v for an attempt, want %v", nameOf(c.src), got, c.want)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		s := &slow{server{fails: func(int, time.Duration) error { return errHang }}}
		c := New(s, nil)
		defer closing(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), 59*time.Second)
		defer cancel()
		_, err := c.Get(ctx)
		if !errors.Is(err, ErrUnavailable) || s.fetches() != 3 {
			t.Errorf("%d attempts of 20 s in a minute: %v", s.fetches(), err)
		}
	})
}

type slow struct{ server }

func (*slow) patience() time.Duration { return 20 * time.Second }
