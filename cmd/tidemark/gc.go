package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// collected is what gc prints with --json.
type collected struct {
	Job            string   `json:"job"`
	DeletedObjects int64    `json:"deleted_objects"`
	DeletedBytes   int64    `json:"deleted_bytes"`
	LiveObjects    int64    `json:"live_objects"`
	LiveBytes      int64    `json:"live_bytes"`
	PendingObjects int64    `json:"pending_objects"`
	PendingBytes   int64    `json:"pending_bytes"`
	Unknown        []string `json:"unknown"`
	DryRun         bool     `json:"dry_run"`
	Requests       requests `json:"requests"`
}

func newGCCommand(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "gc STORE",
		Short: "Delete what nothing can need again; safe beside running jobs",
		Long: `Delete the objects of a job that nothing can need again: those of retired checkpoints and of saves that never
committed. Safe at any time, beside running jobs and other collectors: it goes by names and the job's HEAD, not by age.
Objects that tidemark did not name are reported and left alone.`,
		Example: `  tidemark gc file:///tmp/checkpoints --job orders --dry-run
  tidemark gc file:///tmp/checkpoints --job orders`,
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be deleted")
	a.jobFlag(cmd)
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, _ []string) error {
		return a.withJob(ctx, storeURL, func(_ *tidemark.Store, job *checkpoint.Job) error {
			report, err := job.Collect(ctx, &checkpoint.CollectOptions{DryRun: dryRun})
			if err != nil {
				return err
			}
			if a.json {
				unknown := report.Unknown
				if unknown == nil {
					unknown = []string{}
				}
				return a.printJSON(collected{
					Job: job.Name(), DeletedObjects: report.DeletedObjects, DeletedBytes: report.DeletedBytes,
					LiveObjects: report.LiveObjects, LiveBytes: report.LiveBytes, PendingObjects: report.PendingObjects,
					PendingBytes: report.PendingBytes, Unknown: unknown, DryRun: dryRun, Requests: requestsOf(report.Requests),
				})
			}
			verb := "deleted"
			if dryRun {
				verb = "would delete"
			}
			err = a.printf("%s %s of job %s, %s; %s, %s live; %s of saves that may be under way\n", verb,
				plural(report.DeletedObjects, "object"), job.Name(), humanBytes(report.DeletedBytes),
				plural(report.LiveObjects, "object"), humanBytes(report.LiveBytes), plural(report.PendingObjects, "object"))
			for _, object := range report.Unknown {
				if err == nil {
					err = a.printf("not tidemark's, left alone: %s\n", object)
				}
			}
			return err
		})
	})
}
