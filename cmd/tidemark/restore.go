package main

import (
	"context"
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
}

func newRestoreCommand(a *app) *cobra.Command {
	var (
		reference, match string
		force            bool
	)
	cmd := &cobra.Command{
		Use:   "restore STORE DIR",
		Short: "Restore a checkpoint into an empty directory",
		Long: `Restore a checkpoint into a directory, which is created and has to be empty. Every byte is verified, and nothing
partial is left under its final name. In the pattern of --part, * and ? stay inside a path segment, ** crosses them.`,
		Example: `  tidemark restore file:///tmp/checkpoints ./restored --job orders
  tidemark restore file:///tmp/checkpoints ./older --job orders --checkpoint -1 --part 'db/**'`,
	}
	cmd.Flags().StringVarP(&reference, "checkpoint", "c", "latest", "the checkpoint: number, latest, tag or -N")
	cmd.Flags().StringVar(&match, "part", "", "only the parts that match this pattern")
	cmd.Flags().BoolVar(&force, "force", false, "into a directory that is not empty: replace files of equal name, leave others")
	a.jobFlag(cmd)
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, rest []string) error {
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
			report, err := c.RestoreDir(ctx, "", rest[0], &checkpoint.RestoreOptions{Match: match, Force: force, Progress: &p.Progress})
			p.stop()
			if err != nil {
				return err
			}
			result := restored{
				Checkpoint: report.Checkpoint, Job: job.Name(), Parts: report.Parts, Bytes: report.Bytes,
				Requests: requestsOf(report.Requests), Seconds: time.Since(started).Seconds(),
			}
			if a.json {
				return a.printJSON(result)
			}
			return a.printf("restored checkpoint %d of job %s into %s: %s, %s, %s, in %s\n", result.Checkpoint, result.Job, rest[0],
				plural(result.Parts, "part"), humanBytes(result.Bytes), result.Requests, humanDuration(time.Since(started)))
		})
	})
}
