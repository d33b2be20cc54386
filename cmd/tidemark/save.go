package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// saveAttempts bounds how often a save that lost the race for the job starts over. Each time it pays for the changed bytes
// again, and a job with that many writers has a problem that a person should see.
const saveAttempts = 4

// saved is what save prints with --json.
type saved struct {
	Checkpoint   uint64   `json:"checkpoint"`
	Job          string   `json:"job"`
	Epoch        uint64   `json:"epoch"`
	Parts        int64    `json:"parts"`
	Bytes        int64    `json:"bytes"`
	NewBytes     int64    `json:"new_bytes"`
	StoredBytes  int64    `json:"stored_bytes"`
	Tags         []string `json:"tags"`
	Requests     requests `json:"requests"`
	Seconds      float64  `json:"seconds"`
	TokenFetches int64    `json:"token_fetches"`
	Attempts     int      `json:"attempts"`
}

func newSaveCommand(a *app) *cobra.Command {
	var (
		tag       string
		immutable []string
	)
	cmd := &cobra.Command{
		Use:   "save DIR STORE",
		Short: "Save a directory as the job's next checkpoint, only what changed",
		Long: `Save a directory as the job's next checkpoint. What the latest checkpoint already holds does not travel again.
The save is atomic: it is visible whole, or not at all. It takes the job over from an owner that may be running;
somebody who commits meanwhile wins, and the save starts over.`,
		Example: `  tidemark save ./state file:///tmp/checkpoints --job orders
  tidemark save ./state file:///tmp/checkpoints --job orders --tag before-upgrade --immutable '*.sst'`,
	}
	cmd.Flags().StringVar(&tag, "tag", "", "tag the checkpoint, so that it is never retired")
	cmd.Flags().StringArrayVar(&immutable, "immutable", nil, "files that never change once written, e.g. '*.sst' (repeatable)")
	a.jobFlag(cmd)
	return storeVerb(a, cmd, func(ctx context.Context, storeURL string, rest []string) error {
		dir := rest[0]
		if err := checkDirectory(dir); err != nil {
			return err
		}
		if err := checkStoreIsElsewhere(dir, storeURL); err != nil {
			return err
		}
		for _, pattern := range immutable {
			if _, err := path.Match(pattern, ""); err != nil {
				return usagef("--immutable %q is not a pattern: %v", pattern, err)
			}
		}
		return a.withStore(ctx, storeURL, func(store *tidemark.Store) error {
			job, err := a.selectJob(ctx, store)
			if errors.Is(err, checkpoint.ErrNotFound) {
				return usagef("the store has no job yet: name the one to save").hinted("add --job NAME")
			}
			if err != nil {
				return err
			}
			var options []checkpoint.PartOption
			if len(immutable) > 0 { // without patterns it would declare everything immutable
				options = append(options, checkpoint.Immutable(immutable...))
			}
			return a.save(ctx, store, job, tag, func(w *checkpoint.Writer) error { return w.AddDir("", dir, options...) })
		})
	})
}

func (a *app) save(ctx context.Context, store *tidemark.Store, job, tag string, fill func(*checkpoint.Writer) error) error {
	started := time.Now()
	for attempt := 1; ; attempt++ {
		// Said before the upload, and not tried again: no new attempt frees a tag.
		if err := checkTagIsFree(ctx, store, job, tag); err != nil {
			return err
		}
		p := a.startProgress("saved")
		info, err := store.Save(ctx, job, fill, &checkpoint.SaveOptions{Tag: tag, Progress: &p.Progress})
		p.stop()
		if errors.Is(err, checkpoint.ErrConflict) && attempt < saveAttempts {
			continue
		}
		if err != nil {
			return err
		}
		result := saved{
			Checkpoint: info.Checkpoint, Job: info.Job, Epoch: info.Epoch, Parts: info.Parts, Bytes: info.Bytes,
			NewBytes: info.NewBytes, StoredBytes: info.StoredBytes, Tags: tagsOf(info), Requests: requestsOf(info.Requests),
			Seconds: time.Since(started).Seconds(), TokenFetches: store.Credentials().Fetches, Attempts: attempt,
		}
		if a.json {
			return a.printJSON(result)
		}
		return a.printf("saved checkpoint %d of job %s: %s, %s, %s new, %s stored, %s, in %s\n", result.Checkpoint, result.Job,
			plural(result.Parts, "part"), humanBytes(result.Bytes), humanBytes(result.NewBytes), humanBytes(result.StoredBytes),
			result.Requests, humanDuration(time.Since(started)))
	}
}

func checkTagIsFree(ctx context.Context, store *tidemark.Store, job, tag string) error {
	if tag == "" {
		return nil
	}
	infos, err := listOf(ctx, store, job)
	if errors.Is(err, checkpoint.ErrNotFound) {
		return nil
	}
	for _, info := range infos {
		if slices.Contains(info.Tags, tag) {
			return &checkpoint.Error{Kind: checkpoint.ErrConflict, Op: "save", Job: job,
				Err:  fmt.Errorf("tag %q names checkpoint %d already", tag, info.Checkpoint),
				Hint: "choose another tag, or remove this one with `tidemark untag`"}
		}
	}
	return err
}

// checkDirectory refuses what is not a directory before anything else is tried: a mistyped path is a mistake in the call.
func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return usagef("directory %s does not exist", dir).hinted("check the path; arguments are DIR, then STORE")
	case err != nil:
		return fileError("look at directory", dir, err)
	case !info.IsDir():
		return usagef("%s is not a directory", dir).hinted("save takes a directory; put the file into one")
	}
	return nil
}

// checkStoreIsElsewhere refuses a store inside the directory that is saved: each checkpoint would hold all earlier ones.
func checkStoreIsElsewhere(dir, storeURL string) error {
	u, err := url.Parse(storeURL)
	if err != nil || u.Scheme != "file" {
		return nil // opening the store says what is wrong with its URL
	}
	root, err := realPath(dir)
	if err != nil {
		return fileError("look at directory", dir, err)
	}
	store, err := realPath(filepath.FromSlash(u.Path))
	if err != nil {
		return fileError("look at the store's directory", u.Path, err)
	}
	if inside, err := filepath.Rel(root, store); err == nil && filepath.IsLocal(inside) {
		return usagef("the store %s lies inside the directory %s that is saved", storeURL, dir).hinted("put the store elsewhere")
	}
	return nil
}

// realPath resolves links as far as the path exists; a store's directory is created later.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	resolved, err := filepath.EvalSymlinks(path)
	if !errors.Is(err, os.ErrNotExist) || path == filepath.Dir(path) {
		return resolved, err
	}
	parent, err := realPath(filepath.Dir(path))
	return filepath.Join(parent, filepath.Base(path)), err
}

// tagsOf is never nil, so that JSON says [] and not null.
func tagsOf(info checkpoint.Info) []string {
	if info.Tags == nil {
		return []string{}
	}
	return info.Tags
}
