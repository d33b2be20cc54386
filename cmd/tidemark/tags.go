package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// tagged is what tag and untag print with --json.
type tagged struct {
	Checkpoint uint64   `json:"checkpoint"`
	Job        string   `json:"job"`
	Tag        string   `json:"tag"`
	Tags       []string `json:"tags"` // that the checkpoint has now
}

func newTagCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tag STORE C NAME",
		Short: "Make a checkpoint a savepoint: never retired while the tag exists",
		Long: `Tag a checkpoint. A tagged checkpoint is a savepoint: it is never retired while the tag exists. A tag that names
another checkpoint already is not moved: remove it first.`,
		Example: `  tidemark tag file:///tmp/checkpoints latest before-migration --job orders`,
	}
	a.jobFlag(cmd)
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, rest []string) error {
		return a.withJob(ctx, storeURL, func(_ *tidemark.Store, job *checkpoint.Job) error {
			info, err := job.Tag(ctx, rest[0], rest[1])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(tagged{info.Checkpoint, job.Name(), rest[1], tagsOf(info)})
			}
			return a.printf("tagged checkpoint %d of job %s as %s\n", info.Checkpoint, job.Name(), rest[1])
		})
	})
}

func newUntagCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "untag STORE NAME",
		Short:   "Remove a tag",
		Example: `  tidemark untag file:///tmp/checkpoints before-migration --job orders`,
	}
	a.jobFlag(cmd)
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, rest []string) error {
		return a.withJob(ctx, storeURL, func(_ *tidemark.Store, job *checkpoint.Job) error {
			info, err := job.Untag(ctx, rest[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(tagged{info.Checkpoint, job.Name(), rest[0], tagsOf(info)})
			}
			return a.printf("removed the tag %s from checkpoint %d of job %s\n", rest[0], info.Checkpoint, job.Name())
		})
	})
}
