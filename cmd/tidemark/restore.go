package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// restored is what restore prints with --json.
type restored struct {
	Checkpoint uint64   `json:"checkpoint"`
	Job        string   `json:"job"`
	Parts      int64    `json:"parts"`
	Bytes      int64    `json:"bytes"`
	Requests   requests `json:"requests"`
	Seconds    float64  `json:"seconds"`
	KeptBytes  int64    `json:"kept_bytes"` // of bytes: were there already, and verified
	Unchanged  int64    `json:"unchanged"`  // files that --update left alone
	Deleted    int64    `json:"deleted"`
}

func newRestoreCommand(a *app) *cobra.Command {
	var (
		reference, match string
		opts             checkpoint.RestoreOptions
	)
	cmd := &cobra.Command{
		Use:   "restore STORE DIR",
		Short: "Restore a checkpoint into an empty directory",
		Long: `Restore a checkpoint into a directory, which is created and has to be empty. Every byte is verified, and nothing
partial is left under its final name. In the pattern of --part, * and ? stay inside a path segment, ** crosses them.

With --update the directory may hold an earlier state: files that are equal are left alone, of others only what differs is
fetched. --delete then removes what the checkpoint does not hold (of what --part selects). --resume goes on with a restore of
the same checkpoint that was interrupted, and keeps what it has if it is interrupted itself.`,
		Example: `  tidemark restore file:///tmp/checkpoints ./restored --job orders
  tidemark restore file:///tmp/checkpoints ./older --job orders --checkpoint -1 --part 'db/**'
  tidemark restore file:///tmp/checkpoints ./standby --job orders --update --delete`,
	}
	cmd.Flags().StringVarP(&reference, "checkpoint", "c", "latest", "the checkpoint: number, latest, tag or -N")
	cmd.Flags().StringVar(&match, "part", "", "only the parts that match this pattern")
	cmd.Flags().BoolVar(&opts.Force, "force", false, "into a directory that is not empty: replace files of equal name, leave others")
	cmd.Flags().BoolVar(&opts.Update, "update", false, "into an earlier state: fetch only what differs, leave equal and other files alone")
	cmd.Flags().BoolVar(&opts.Delete, "delete", false, "with --update: remove what the checkpoint does not hold")
	cmd.Flags().BoolVar(&opts.Resume, "resume", false, "go on with an interrupted restore; keep what is fetched if this one fails")
	a.jobFlag(cmd)
	a.packCacheFlags(cmd)
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, rest []string) error {
		if opts.Delete && !opts.Update {
			return usagef("--delete needs --update").hinted("add --update, or leave --delete out")
		}
		return a.withJob(ctx, storeURL, func(_ *tidemark.Store, job *checkpoint.Job) error {
			started := time.Now()
			c, err := job.Find(ctx, orElse(reference, "latest"))
			if err != nil {
				return err
			}
			p := a.startProgress("restored")
			if match == "" {
				p.Total.Store(c.Info().Bytes)
			}
			opts.Match, opts.Progress = match, &p.Progress
			report, err := c.RestoreDir(ctx, "", rest[0], &opts)
			p.stop()
			if err != nil {
				return err
			}
			result := restored{
				Checkpoint: report.Checkpoint, Job: job.Name(), Parts: report.Parts, Bytes: report.Bytes,
				KeptBytes: report.KeptBytes, Unchanged: report.Unchanged, Deleted: report.Deleted,
				Requests: requestsOf(report.Requests), Seconds: time.Since(started).Seconds(),
			}
			if a.json {
				return a.printJSON(result)
			}
			return a.printf("restored checkpoint %d of job %s into %s: %s, %s%s, %s, in %s\n", result.Checkpoint, result.Job, rest[0],
				plural(result.Parts, "part"), humanBytes(result.Bytes), result.reused(), result.Requests, humanDuration(time.Since(started)))
		})
	})
}

// reused tells what an update or a resumed restore did not have to fetch, and what it removed.
func (r restored) reused() string {
	var s string
	if r.KeptBytes > 0 {
		s = fmt.Sprintf(" (%s were there already)", humanBytes(r.KeptBytes))
	}
	if r.Deleted > 0 {
		s += ", " + plural(r.Deleted, "file") + " removed"
	}
	return s
}
