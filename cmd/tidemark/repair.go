package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// repaired is what repair prints with --json.
type repaired struct {
	Job         string            `json:"job"`
	Head        string            `json:"head"`   // as it was: "whole", "damaged", "lost"
	Mended      bool              `json:"mended"` // one bit was wrong, and everything in it is saved
	Epoch       uint64            `json:"epoch"`  // of the new HEAD; 0: none was written
	DryRun      bool              `json:"dry_run"`
	Checkpoints []foundCheckpoint `json:"checkpoints"`
	Manifests   []writtenManifest `json:"manifests"`
	Lost        []problem         `json:"lost"`
	Retired     []uint64          `json:"retired"`
	Requests    requests          `json:"requests"`
}

type foundCheckpoint struct {
	Checkpoint uint64    `json:"checkpoint"`
	Epoch      uint64    `json:"epoch"`
	Begun      time.Time `json:"begun_at"`
	Parts      int64     `json:"parts"`
	Bytes      int64     `json:"bytes"`
	Committed  bool      `json:"committed"` // for certain
	Kept       bool      `json:"kept"`
	Object     string    `json:"object"`
	Detail     string    `json:"detail"`
}

type writtenManifest struct {
	Checkpoint uint64 `json:"checkpoint"`
	Object     string `json:"object"`
	From       string `json:"from"`
}

func newRepairCommand(a *app) *cobra.Command {
	var opts checkpoint.RepairOptions
	cmd := &cobra.Command{
		Use:   "repair STORE",
		Short: "Make a job usable again whose HEAD or manifests are lost or damaged",
		Long: `Make a new HEAD of a job's manifests if HEAD is lost or damaged, and write lost or damaged manifests again where HEAD has
a copy, or one flipped bit explains the damage. A HEAD that can be read is left alone. Nothing is deleted. Stop the job,
its cron jobs and every gc first: who commits is fenced, but what a gc has begun to delete may be found and then lost.

Tags and which checkpoints were retired are known to HEAD alone: a new one keeps every checkpoint that is whole, among
them perhaps some whose save was never acknowledged (--without OBJECT leaves one out). Start with --dry-run; tag again
what has to stay; run verify --data. Exit code 4 if something the job lists could not be saved; --retire-lost retires
checkpoints without a manifest.`,
		Example: `  tidemark repair file:///tmp/checkpoints --job orders --dry-run
  tidemark repair file:///tmp/checkpoints --job orders`,
	}
	cmd.Flags().BoolVar(&opts.DryRun, "dry-run", false, "only say what would be done")
	cmd.Flags().StringArrayVar(&opts.Without, "without", nil, "leave the checkpoint of this manifest out of a new HEAD (repeatable)")
	cmd.Flags().BoolVar(&opts.RetireLost, "retire-lost", false, "retire checkpoints whose manifest is lost for good")
	a.jobFlag(cmd)
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, _ []string) error {
		return a.withJob(ctx, storeURL, func(_ *tidemark.Store, job *checkpoint.Job) error {
			report, err := job.Repair(ctx, &opts)
			if err != nil {
				if !a.json {
					err = errors.Join(err, a.printFound(report), a.printLost(report))
				}
				return err
			}
			if err := a.printRepaired(job.Name(), report, opts.DryRun); err != nil {
				return err
			}
			if !report.Whole() {
				return &checkpoint.Error{Kind: checkpoint.ErrCorrupt, Op: "repair", Job: job.Name(), Err: errors.New("not everything could be saved"),
					Hint: "restore another checkpoint; --retire-lost retires those without a manifest, so that gc and the next save can go on"}
			}
			return nil
		})
	})
}

func (a *app) printRepaired(job string, report *checkpoint.RepairReport, dryRun bool) error {
	if a.json {
		a.resultPrinted = true
		result := repaired{
			Job: job, Head: string(report.Head), Mended: report.Mended, Epoch: report.Epoch, DryRun: dryRun, Checkpoints: []foundCheckpoint{},
			Manifests: []writtenManifest{}, Lost: []problem{}, Retired: []uint64{}, Requests: requestsOf(report.Requests),
		}
		for _, f := range report.Found {
			result.Checkpoints = append(result.Checkpoints, foundCheckpoint{
				Checkpoint: f.Info.Checkpoint, Epoch: f.Info.Epoch, Begun: f.Info.CommittedAt, Parts: f.Info.Parts, Bytes: f.Info.Bytes,
				Committed: f.Committed, Kept: f.Kept, Object: f.Object, Detail: f.Why,
			})
		}
		for _, w := range report.Written {
			result.Manifests = append(result.Manifests, writtenManifest(w))
		}
		for _, p := range report.Lost {
			result.Lost = append(result.Lost, problem(p))
		}
		result.Retired = append(result.Retired, report.Retired...)
		return a.printJSON(result)
	}
	if err := a.printFound(report); err != nil {
		return err
	}
	for _, w := range report.Written {
		if err := a.printf("manifest of checkpoint %d is as it was again: %s\n", w.Checkpoint, w.Object); err != nil {
			return err
		}
	}
	if err := a.printLost(report); err != nil {
		return err
	}
	return a.printf("%s\n", verdict(job, report, dryRun))
}

func (a *app) printLost(report *checkpoint.RepairReport) error {
	for _, p := range report.Lost {
		if err := a.printf("not saved: %s\n", lostLine(p)); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printFound(report *checkpoint.RepairReport) error {
	if len(report.Found) == 0 {
		return nil
	}
	now := time.Now()
	var rows [][]string
	for _, f := range report.Found {
		rows = append(rows, []string{
			fmt.Sprint(f.Info.Checkpoint), fmt.Sprint(f.Info.Epoch), humanAgo(now, f.Info.CommittedAt), fmt.Sprint(f.Info.Parts), humanBytes(f.Info.Bytes),
			yesOr(f.Committed, "unknown"), yesOr(f.Kept, "no"), orElse(f.Why, f.Object),
		})
	}
	return a.table([]string{">CHECKPOINT", ">EPOCH", "BEGUN", ">PARTS", ">SIZE", "COMMITTED", "KEPT", "OBJECT"}, rows)
}

func yesOr(yes bool, no string) string {
	if yes {
		return "yes"
	}
	return no
}

func lostLine(p checkpoint.Problem) string {
	line := p.Detail
	if p.Object != "" {
		line = p.Object + ": " + line
	}
	if p.Checkpoint != 0 {
		line = fmt.Sprintf("checkpoint %d: %s", p.Checkpoint, line)
	}
	return line
}

// verdict says in one line what became of the job.
func verdict(job string, report *checkpoint.RepairReport, dryRun bool) string {
	would := ""
	if dryRun {
		would = "would be "
	}
	kept := 0
	for _, f := range report.Found {
		if f.Kept {
			kept++
		}
	}
	switch {
	case report.Mended:
		return fmt.Sprintf("HEAD of job %s had one wrong bit: %sturned back, with %s and all tags; epoch %d", job, would, plural(kept, "checkpoint"), report.Epoch)
	case report.Head != checkpoint.HeadWhole:
		return fmt.Sprintf("HEAD of job %s was %s: %smade anew, with %s; epoch %d. Tag again what has to stay before you retain", job, report.Head, would, plural(kept, "checkpoint"), report.Epoch)
	case len(report.Retired) > 0:
		return fmt.Sprintf("HEAD of job %s is whole; %s %sretired, of which the manifest is lost", job, plural(len(report.Retired), "checkpoint"), would)
	case len(report.Written) > 0:
		return fmt.Sprintf("HEAD of job %s is whole; %s %swritten again", job, plural(len(report.Written), "manifest"), would)
	case !report.Whole():
		return fmt.Sprintf("HEAD of job %s is whole, and was left alone", job)
	}
	return fmt.Sprintf("nothing to repair: HEAD of job %s is whole, and so are its manifests", job)
}
