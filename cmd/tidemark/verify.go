package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// verified is what verify prints with --json.
type verified struct {
	OK             bool      `json:"ok"`
	Job            string    `json:"job"`
	Checkpoints    int       `json:"checkpoints"`
	CheckedObjects int64     `json:"checked_objects"`
	CheckedBytes   int64     `json:"checked_bytes"`
	Problems       []problem `json:"problems"`
	Requests       requests  `json:"requests"`
}

type problem struct {
	Kind       string `json:"kind"`
	Checkpoint uint64 `json:"checkpoint"`
	Part       string `json:"part"`
	Object     string `json:"object"`
	Detail     string `json:"detail"`
}

func newVerifyCommand(a *app) *cobra.Command {
	var data bool
	cmd := &cobra.Command{
		Use:   "verify STORE [C]",
		Short: "Check that everything a job needs is there and right",
		Long: `Check that every object that the job's checkpoints need exists with the right size and checksum, at the price of a
listing. With --data every byte is read and every hash checked. With C only that checkpoint is checked.
Exit code 4 if anything is wrong.`,
		Example: `  tidemark verify file:///tmp/checkpoints --job orders
  tidemark verify file:///tmp/checkpoints latest --job orders --data`,
	}
	cmd.Flags().BoolVar(&data, "data", false, "read every byte and check every hash")
	a.jobFlag(cmd)
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, rest []string) error {
		return a.withJob(ctx, storeURL, func(_ *tidemark.Store, job *checkpoint.Job) error {
			p := a.startProgress("verified")
			opts := &checkpoint.VerifyOptions{Data: data, Progress: &p.Progress}
			if len(rest) > 0 {
				opts.Checkpoint = rest[0]
			}
			report, err := job.Verify(ctx, opts)
			p.stop()
			if err != nil {
				return err
			}
			if err := a.printVerified(job.Name(), report); err != nil {
				return err
			}
			if report.OK() {
				return nil
			}
			problems := errProblems
			if slices.ContainsFunc(report.Problems, checkpoint.Problem.Repairable) {
				problems = errRepairable
			}
			return fmt.Errorf("verify job %q: %w: %s", job.Name(), problems, plural(len(report.Problems), "problem"))
		})
	})
}

func (a *app) printVerified(job string, report checkpoint.VerifyReport) error {
	if a.json {
		a.resultPrinted = true
		result := verified{
			OK: report.OK(), Job: job, Checkpoints: report.Checkpoints, CheckedObjects: report.CheckedObjects,
			CheckedBytes: report.CheckedBytes, Problems: []problem{}, Requests: requestsOf(report.Requests),
		}
		for _, p := range report.Problems {
			result.Problems = append(result.Problems, problem(p))
		}
		return a.printJSON(result)
	}
	if !report.OK() {
		var rows [][]string
		for _, p := range report.Problems {
			rows = append(rows, []string{p.Kind, fmt.Sprint(p.Checkpoint), orElse(p.Part, "-"), orElse(p.Object, "-"), p.Detail})
		}
		if err := a.table([]string{"PROBLEM", ">CHECKPOINT", "PART", "OBJECT", "DETAIL"}, rows); err != nil {
			return err
		}
	}
	verdict := "all right"
	if !report.OK() {
		verdict = plural(len(report.Problems), "problem")
	}
	return a.printf("%s: %s of job %s, %s, %s checked\n", verdict, plural(report.Checkpoints, "checkpoint"), job,
		plural(report.CheckedObjects, "object"), humanBytes(report.CheckedBytes))
}
