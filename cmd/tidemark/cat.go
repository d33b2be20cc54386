package main

import (
	"context"
	"io"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

func newCatCommand(a *app) *cobra.Command {
	var offset, length int64
	cmd := &cobra.Command{
		Use:   "cat STORE C PART",
		Short: "Print a part's bytes, verified",
		Long: `Print a part's bytes to standard output. Every byte is verified before it is printed; a part that turns out to be
corrupt ends with exit code 4 after the good bytes before the bad ones. With --json an error is printed on standard
error, since standard output is the part's.`,
		Example: `  tidemark cat file:///tmp/checkpoints latest db/orders.db --job orders
  tidemark cat file:///tmp/checkpoints -1 db/orders.db --job orders --offset 4096 --length 16`,
	}
	cmd.Flags().Int64Var(&offset, "offset", 0, "start at this byte")
	cmd.Flags().Int64Var(&length, "length", -1, "print at most this many bytes (default all)")
	a.jobFlag(cmd)
	a.packCacheFlags(cmd)
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, rest []string) error {
		a.dataOnStdout = true
		if offset < 0 || (length < 0 && cmd.Flags().Changed("length")) {
			return usagef("--offset and --length cannot be negative")
		}
		return a.withJob(ctx, storeURL, func(_ *tidemark.Store, job *checkpoint.Job) error {
			c, err := job.Find(ctx, rest[0])
			if err != nil {
				return err
			}
			part, err := c.Open(ctx, rest[1])
			if err != nil {
				return err
			}
			if offset > part.Size() {
				_ = part.Close()
				return usagef("--offset %d is beyond the end of part %s, which has %s", offset, rest[1], plural(part.Size(), "byte"))
			}
			if length < 0 {
				length = part.Size() - offset
			}
			_, err = io.Copy(a.out, io.NewSectionReader(part, offset, min(length, part.Size()-offset)))
			if closeErr := part.Close(); err == nil {
				err = closeErr
			}
			return err
		})
	})
}
