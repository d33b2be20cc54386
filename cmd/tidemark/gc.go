package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// collected is what gc prints with --json.
type collected struct {
	Job            string   `json:"job"`
	DeletedObjects int64    `json:"deleted_objects"`
	DeletedBytes   int64    `json:"deleted_bytes"`
	FailedObjects  int64    `json:"failed_objects"`
	LiveObjects    int64    `json:"live_objects"`
	LiveBytes      int64    `json:"live_bytes"`
	PendingObjects int64    `json:"pending_objects"`
	PendingBytes   int64    `json:"pending_bytes"`
	Unknown        []string `json:"unknown"`
	DryRun         bool     `json:"dry_run"`
	Requests       requests `json:"requests"`

	Error *errorBody `json:"error,omitempty"` // why objects could not be deleted
}

func newGCCommand(a *app) *cobra.Command {
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "gc STORE",
		Short: "Delete what nothing can need again; safe beside running jobs",
		Long: `Delete the objects of a job that nothing can need again: those of retired checkpoints and of saves that never
committed. Safe at any time, beside running jobs and other collectors: it goes by names and the job's HEAD, not by age.
Objects that tidemark did not name are reported and left alone. If some cannot be deleted, all others are, and the exit
code says why.`,
		Example: `  tidemark gc file:///tmp/checkpoints --job orders --dry-run
  tidemark gc file:///tmp/checkpoints --job orders`,
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be deleted")
	a.jobFlag(cmd)
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, _ []string) error {
		return a.withJob(ctx, storeURL, func(_ *tidemark.Store, job *checkpoint.Job) error {
			report, err := job.Collect(ctx, &checkpoint.CollectOptions{DryRun: dryRun})
			if err != nil && report.FailedObjects == 0 {
				return err
			}
			return errors.Join(err, a.printCollected(ctx, job.Name(), report, dryRun, err))
		})
	})
}

// printCollected tells what was done, also if objects could not be deleted for the reason failed.
func (a *app) printCollected(ctx context.Context, job string, report checkpoint.CollectReport, dryRun bool, failed error) error {
	if a.json {
		result := collected{
			Job: job, DeletedObjects: report.DeletedObjects, DeletedBytes: report.DeletedBytes, FailedObjects: report.FailedObjects,
			LiveObjects: report.LiveObjects, LiveBytes: report.LiveBytes, PendingObjects: report.PendingObjects,
			PendingBytes: report.PendingBytes, Unknown: report.Unknown, DryRun: dryRun, Requests: requestsOf(report.Requests),
		}
		if result.Unknown == nil {
			result.Unknown = []string{}
		}
		if failed != nil {
			body := describe(ctx, failed)
			result.Error = &body
		}
		a.resultPrinted = true
		return a.printJSON(result)
	}
	verb, failures := "deleted", ""
	if dryRun {
		verb = "would delete"
	}
	if report.FailedObjects > 0 {
		failures = fmt.Sprintf("; %s could not be deleted", plural(report.FailedObjects, "object"))
	}
	err := a.printf("%s %s of job %s, %s%s; %s, %s live; %s of saves that may be under way\n", verb,
		plural(report.DeletedObjects, "object"), job, humanBytes(report.DeletedBytes), failures,
		plural(report.LiveObjects, "object"), humanBytes(report.LiveBytes), plural(report.PendingObjects, "object"))
	for _, object := range report.Unknown {
		if err == nil {
			err = a.printf("not tidemark's, left alone: %s\n", object)
		}
	}
	return err
}
