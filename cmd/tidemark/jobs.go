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

// jobLine is one line of jobs with --json.
type jobLine struct {
	Job         string     `json:"job"`
	Latest      *uint64    `json:"latest"` // null: no checkpoint yet
	Checkpoints int        `json:"checkpoints"`
	Bytes       int64      `json:"bytes"` // of the latest checkpoint
	CommittedAt *time.Time `json:"committed_at"`
	Error       *errorBody `json:"error,omitempty"` // the job could not be read
}

func newJobsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "jobs STORE",
		Short: "List the jobs of a store",
		Long: `List the jobs of a store, each with its latest checkpoint and that checkpoint's size. A job that cannot be read is
listed with the reason, and the exit code is that of the first such job.`,
		Example: `  tidemark jobs file:///tmp/checkpoints`,
	}
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, _ []string) error {
		return a.withStore(ctx, storeURL, func(store *tidemark.Store) error { return a.listJobs(ctx, store) })
	})
}

func (a *app) listJobs(ctx context.Context, store *tidemark.Store) error {
	var (
		rows   [][]string
		broken error
	)
	now := time.Now()
	for name, err := range store.Jobs(ctx) {
		var infos []checkpoint.Info
		if err == nil {
			infos, err = listOf(ctx, store, name)
		}
		if err != nil && (name == "" || ctx.Err() != nil) {
			return err // not about one job
		}
		line := jobLine{Job: name}
		row := []string{name, "-", "-", "-", "-"}
		switch {
		case err != nil:
			broken = firstError(broken, err)
			body := describe(ctx, err)
			line.Error = &body
			row[4] = body.Message
		case len(infos) > 0:
			latest := infos[0]
			line.Latest, line.Checkpoints, line.Bytes, line.CommittedAt = &latest.Checkpoint, len(infos), latest.Bytes, &latest.CommittedAt
			row = []string{name, fmt.Sprint(latest.Checkpoint), fmt.Sprint(len(infos)), humanBytes(latest.Bytes), humanAgo(now, latest.CommittedAt)}
		}
		rows = append(rows, row)
		if a.json {
			if err := a.printJSON(line); err != nil {
				return err
			}
		}
	}
	if a.json {
		a.resultPrinted = broken != nil
		return broken
	}
	if err := a.table([]string{"JOB", ">LATEST", ">CHECKPOINTS", ">SIZE", "COMMITTED"}, rows); err != nil {
		return err
	}
	return broken
}

func listOf(ctx context.Context, store *tidemark.Store, name string) ([]checkpoint.Info, error) {
	job, err := store.Job(name)
	if err != nil {
		return nil, err
	}
	return job.List(ctx)
}

func firstError(first, err error) error {
	if first != nil {
		return first
	}
	return err
}

// checkpointLine is one line of ls with --json.
type checkpointLine struct {
	Checkpoint  uint64    `json:"checkpoint"`
	Epoch       uint64    `json:"epoch"`
	CommittedAt time.Time `json:"committed_at"`
	Parts       int64     `json:"parts"`
	Bytes       int64     `json:"bytes"`
	NewBytes    int64     `json:"new_bytes"`
	StoredBytes int64     `json:"stored_bytes"`
	Tags        []string  `json:"tags"`
	Seconds     float64   `json:"seconds"`
}

func lineOf(info checkpoint.Info) checkpointLine {
	return checkpointLine{
		Checkpoint: info.Checkpoint, Epoch: info.Epoch, CommittedAt: info.CommittedAt, Parts: info.Parts, Bytes: info.Bytes,
		NewBytes: info.NewBytes, StoredBytes: info.StoredBytes, Tags: tagsOf(info), Seconds: info.Duration.Seconds(),
	}
}

func newLsCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "ls STORE",
		Short:   "List the checkpoints of a job, newest first",
		Example: `  tidemark ls file:///tmp/checkpoints --job orders`,
	}
	a.jobFlag(cmd)
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, _ []string) error {
		return a.withJob(ctx, storeURL, func(_ *tidemark.Store, job *checkpoint.Job) error {
			infos, err := job.List(ctx)
			if err != nil {
				return err
			}
			return a.listCheckpoints(infos)
		})
	})
}

func (a *app) listCheckpoints(infos []checkpoint.Info) error {
	now := time.Now()
	var rows [][]string
	for _, info := range infos {
		if a.json {
			if err := a.printJSON(lineOf(info)); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{
			fmt.Sprint(info.Checkpoint), fmt.Sprint(info.Epoch), humanAgo(now, info.CommittedAt), fmt.Sprint(info.Parts),
			humanBytes(info.Bytes), humanBytes(info.NewBytes), humanDuration(info.Duration), strings.Join(info.Tags, ", "),
		})
	}
	if a.json {
		return nil
	}
	return a.table([]string{">CHECKPOINT", ">EPOCH", "COMMITTED", ">PARTS", ">SIZE", ">NEW", ">TOOK", "TAGS"}, rows)
}
