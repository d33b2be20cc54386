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
		policy     checkpoint.Retention
		keepWithin duration
		dryRun     bool
	)
	cmd := &cobra.Command{
		Use:   "retain STORE",
		Short: "Retire the checkpoints that a policy does not keep",
		Long: `Retire the checkpoints that none of the --keep rules keeps. The newest one, tagged ones and those that
a reader holds are always kept. Retiring frees nothing by itself: gc deletes what nothing can need again.

--keep-hourly, --keep-daily and --keep-weekly keep the newest checkpoint of each of the last N hours, days or weeks (UTC,
from Monday) that have one.`,
		Example: `  tidemark retain file:///tmp/checkpoints --job orders --keep-last 10 --keep-within 7d --dry-run
  tidemark retain file:///tmp/checkpoints --job orders --keep-last 10 --keep-hourly 24 --keep-daily 14 --keep-weekly 8`,
	}
	counts := []struct {
		flag  string
		n     *int
		usage string
	}{
		{"keep-last", &policy.KeepLast, "keep the newest N"},
		{"keep-hourly", &policy.KeepHourly, "keep the newest of each of N hours"},
		{"keep-daily", &policy.KeepDaily, "keep the newest of each of N days"},
		{"keep-weekly", &policy.KeepWeekly, "keep the newest of each of N weeks"},
	}
	for _, c := range counts {
		cmd.Flags().IntVar(c.n, c.flag, 0, c.usage)
	}
	cmd.Flags().Var(&keepWithin, "keep-within", "keep those committed within this long, e.g. 36h, 7d or 2w")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say which would be retired")
	a.jobFlag(cmd)
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, _ []string) error {
		given := cmd.Flags().Changed
		some := given("keep-within")
		for _, c := range counts {
			if given(c.flag) && *c.n < 1 {
				return usagef("--%s %d: at least 1 is kept", c.flag, *c.n)
			}
			some = some || given(c.flag)
		}
		switch {
		case !some:
			return usagef("retain needs a policy: --keep-last N, --keep-within D, --keep-hourly N, --keep-daily N, --keep-weekly N, or several").
				hinted("see `tidemark help retain`")
		case given("keep-within") && keepWithin <= 0:
			return usagef("--keep-within %s is not a time to keep anything", time.Duration(keepWithin))
		}
		policy.KeepWithin = time.Duration(keepWithin)
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
