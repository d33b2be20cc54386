// Command tidemark saves, restores and administers checkpoints of stream jobs on object stores.
//
// Start with `tidemark help`; docs/cli.md in the repository is the reference. Scripts may depend on verbs, flags, JSON
// fields and exit codes; the text for people may change.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks everything to stop; from then on the default is back, so that a second one kills.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	os.Exit(code)
}
