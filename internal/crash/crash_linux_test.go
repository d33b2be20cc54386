package crash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tidemark-go/tidemark/internal/crash"
)

// programs are what this binary is when it runs under a tracer; the first argument says which, the second where.
var programs = map[string]func(dir string) error{
	// The way to write a file that survives.
	"careful": func(dir string) error {
		f, err := os.Create(filepath.Join(dir, "temp"))
		if err != nil {
			return err
		}
		_, err = f.WriteString("content")
		err = errors.Join(err, f.Sync(), f.Close(), os.Rename(f.Name(), filepath.Join(dir, "name")))
		return errors.Join(err, syncDir(dir))
	},
	// The same without the syncs.
	"careless": func(dir string) error {
		if err := os.WriteFile(filepath.Join(dir, "temp"), []byte("content"), 0o600); err != nil {
			return err
		}
		return os.Rename(filepath.Join(dir, "temp"), filepath.Join(dir, "name"))
	},
	"threads": func(dir string) error {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				runtime.LockOSThread() // and never unlocked: a thread of its own
				for k := range 5 {
					_ = os.Mkdir(filepath.Join(dir, fmt.Sprintf("%d-%d", i, k)), 0o700) // the tracer counts
				}
			})
		}
		wg.Wait()
		return nil
	},
	"patient": func(string) error { time.Sleep(time.Hour); return nil },
	"failing": func(dir string) error { return os.Mkdir(dir, 0o700) },
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

const programEnv = "CRASH_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if name := os.Getenv(programEnv); name != "" {
		if err := programs[name](os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func run(t *testing.T, program, dir string, at func(crash.Call) bool) (crash.End, string) {
	t.Helper()
	ctx, cancel := crash.Timeout(t.Context())
	defer cancel()
	var out bytes.Buffer
	end, err := crash.Run(ctx, crash.Command{Args: []string{os.Args[0], dir}, Env: append(os.Environ(), programEnv+"="+program), Output: &out}, at)
	if err != nil {
		t.Fatal(err)
	}
	return end, out.String()
}

func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e.Name()+"="+string(b))
	}
	return strings.Join(out, " ")
}

func TestEveryCallIsSeen(t *testing.T) {
	var before, after []string
	end, out := run(t, "careful", t.TempDir(), func(c crash.Call) bool {
		if c.Done {
			after = append(after, c.Name)
		} else {
			before = append(before, c.Name)
		}
		return true
	})
	want := []string{"openat", "write", "fsync", "renameat", "fsync"}
	if !slices.Equal(before, want) || !slices.Equal(after, want) || end != (crash.End{Calls: 5}) {
		t.Errorf("before %q, after %q, %+v %s", before, after, end, out)
	}
}

// A call before which the program is killed has not happened, one after which it is killed has.
func TestKill(t *testing.T) {
	states := []string{"", "temp=", "temp=content", "temp=content", "name=content", "name=content"}
	for k := 1; k <= 5; k++ {
		for _, after := range []bool{false, true} {
			dir := t.TempDir()
			end, _ := run(t, "careful", dir, func(c crash.Call) bool { return c.N != k || c.Done != after })
			want := states[k-1]
			if after {
				want = states[k]
			}
			if got := names(t, dir); got != want || !end.Killed || end.Calls != k {
				t.Errorf("killed at call %d (after: %t): %q, want %q; %+v", k, after, got, want, end)
			}
		}
	}
}

func TestThreads(t *testing.T) {
	dir := t.TempDir()
	if end, _ := run(t, "threads", dir, func(crash.Call) bool { return true }); end.Calls != 40 || end.Killed {
		t.Errorf("%+v", end)
	}
}

func TestEnds(t *testing.T) {
	dir := t.TempDir()
	failed := false
	end, out := run(t, "failing", dir, func(c crash.Call) bool { failed = failed || c.Failed; return true })
	if end.Code != 3 || !failed || !strings.Contains(out, "exists") {
		t.Errorf("%+v, failed %t, %q", end, failed, out)
	}
	enough := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, enough)
	defer cancel()
	_, err := crash.Run(ctx, crash.Command{Args: []string{os.Args[0], dir}, Env: append(os.Environ(), programEnv+"=patient")}, func(crash.Call) bool { return true })
	if !errors.Is(err, enough) {
		t.Errorf("a program without end: %v", err)
	}
	if _, err := crash.Run(t.Context(), crash.Command{Args: []string{filepath.Join(dir, "none")}}, nil); err == nil {
		t.Error("a program that does not exist was run")
	}
}

// What a power cut leaves after each call, where nothing survives that was not synced, where names do, and where all does.
func TestPowerCuts(t *testing.T) {
	for program, want := range map[string][][3]string{
		"careful": {
			{"old=o", "old=o temp=", "old=o temp="},               // created
			{"old=o", "old=o temp=", "old=o temp=content"},        // written
			{"old=o", "old=o temp=content", "old=o temp=content"}, // synced
			{"old=o", "name=content old=o", "name=content old=o"}, // named
			{"name=content old=o", "name=content old=o", "name=content old=o"},
		},
		"careless": {
			{"old=o", "old=o temp=", "old=o temp="},
			{"old=o", "old=o temp=", "old=o temp=content"},
			{"old=o", "name= old=o", "name=content old=o"},
		},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "old"), []byte("o"), 0o600); err != nil {
			t.Fatal(err)
		}
		disk, err := crash.NewDisk(dir)
		if err != nil {
			t.Fatal(err)
		}
		var seen [][3]string
		_, out := run(t, program, dir, func(c crash.Call) bool {
			if err := disk.Watch(c); err != nil {
				t.Error(err)
			}
			if c.Done {
				seen = append(seen, [3]string{cut(t, disk, crash.Nothing(), crash.Nothing()), cut(t, disk, crash.Everything(), crash.Nothing()),
					cut(t, disk, crash.Everything(), crash.Everything())})
			}
			return true
		})
		if !slices.Equal(seen, want) {
			t.Errorf("%s %s:\n%q, want\n%q", program, out, seen, want)
		}
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	}
}

func cut(t *testing.T, disk *crash.Disk, names, contents crash.Cut) string {
	t.Helper()
	image, err := disk.PowerCut(names, contents)
	if err != nil {
		t.Error(err)
	}
	var out []string
	for name, content := range image {
		out = append(out, name+"="+string(content))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
