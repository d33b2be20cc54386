// Command retryconformance runs the retry conformance test of Google's storage client for Go, TestRetryConformance,
// against the emulator's storage server. The test is taken from the module cache, in the version that go.mod names, and
// run from a copy that is removed afterwards. It fails if a case fails, is skipped, or was not run at all: which cases there
// have to be is read from the client's own list of them.
//
//	go run ./emulator/retryconformance
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

const clientModule = "cloud.google.com/go/storage"

func main() {
	verbose := flag.Bool("v", false, "print every case")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *verbose)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "retryconformance:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, verbose bool) (err error) {
	start := time.Now()
	module, version, err := findClient(ctx)
	if err != nil {
		return err
	}
	wanted, err := readCases(filepath.Join(module, "internal", "test", "conformance", "retry_tests.json"))
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "retryconformance-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	// go test refuses to run tests of a module that is in the cache.
	if err := os.CopyFS(work, os.DirFS(module)); err != nil {
		return fmt.Errorf("copy %s: %w", clientModule, err)
	}
	cloud, err := emulator.Listen(ctx, &emulator.Options{Testbench: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cloud.Close()) }()

	outcomes, err := test(ctx, work, cloud.StorageURL(), verbose)
	if err != nil {
		return err
	}
	passed, problems := judge(wanted, outcomes)
	for _, problem := range problems {
		fmt.Fprintln(os.Stderr, problem)
	}
	fmt.Printf("%s %s: %d cases passed, %d problems, %s\n", clientModule, version, passed, len(problems), time.Since(start).Round(time.Second))
	if len(problems) > 0 {
		return errors.New("the storage server does not conform")
	}
	return nil
}

// findClient returns where the module cache has the client, in the version that this module uses.
func findClient(ctx context.Context) (dir, version string, err error) {
	if out, err := exec.CommandContext(ctx, "go", "mod", "download", clientModule).CombinedOutput(); err != nil {
		return "", "", fmt.Errorf("download %s: %w: %s", clientModule, err, out)
	}
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}\n{{.Version}}", clientModule).Output()
	if err != nil {
		return "", "", fmt.Errorf("find %s (run this inside the tidemark module): %w", clientModule, err)
	}
	dir, version, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	if dir == "" {
		return "", "", fmt.Errorf("find %s: the module cache does not have it", clientModule)
	}
	return dir, version, nil
}
