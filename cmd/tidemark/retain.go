package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// retired is what retain prints with --json.
type retired struct {
	Job     string   `json:"job"`
	Retired []uint64 `json:"retired"`
	DryRun  bool     `json:"dry_run"`
}

func newRetainCommand(a *app) *cobra.Command {
	var (
		keepLast   int
		keepWithin duration
		dryRun     bool
	)
	cmd := &cobra.Command{
		Use:   "retain STORE",
		Short: "Retire the checkpoints that a policy does not keep",
		Long: `Retire the checkpoints that neither --keep-last nor --keep-within keeps. The newest one, tagged ones and those that
a reader holds are always kept. Retiring frees nothing by itself: gc deletes what nothing can need again.`,
		Example: `  tidemark retain file:///tmp/checkpoints --job orders --keep-last 10 --keep-within 7d --dry-run
  tidemark retain file:///tmp/checkpoints --job orders --keep-last 10 --keep-within 7d`,
	}
	cmd.Flags().IntVar(&keepLast, "keep-last", 0, "keep the newest N")
	cmd.Flags().Var(&keepWithin, "keep-within", "keep those committed within this long, e.g. 36h, 7d or 2w")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say which would be retired")
	a.jobFlag(cmd)
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, _ []string) error {
		given := cmd.Flags().Changed
		switch {
		case !given("keep-last") && !given("keep-within"):
			return usagef("retain needs a policy: --keep-last N, --keep-within D, or both").hinted("see `tidemark help retain`")
		case given("keep-last") && keepLast < 1:
			return usagef("--keep-last %d: at least 1 is kept", keepLast)
		case given("keep-within") && keepWithin <= 0:
			return usagef("--keep-within %s is not a time to keep anything", time.Duration(keepWithin))
		}
		policy := checkpoint.Retention{KeepLast: keepLast, KeepWithin: time.Duration(keepWithin)}
		return a.withJob(ctx, storeURL, func(_ *tidemark.Store, job *checkpoint.Job) error {
			infos, err := job.Retain(ctx, policy, dryRun)
			if err != nil {
				return err
			}
			numbers := make([]uint64, len(infos))
			for i, info := range infos {
				numbers[i] = info.Checkpoint
			}
			if a.json {
				return a.printJSON(retired{job.Name(), numbers, dryRun})
			}
			verb := "retired"
			if dryRun {
				verb = "would retire"
			}
			if len(numbers) == 0 {
				return a.printf("%s nothing of job %s\n", verb, job.Name())
			}
			return a.printf("%s %s of job %s: %s\n", verb, plural(len(numbers), "checkpoint"), job.Name(),
				strings.Trim(fmt.Sprint(numbers), "[]"))
		})
	})
}
