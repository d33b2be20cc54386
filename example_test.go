package tidemark_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/tidemark-go/tidemark"
	"github.com/tidemark-go/tidemark/checkpoint"
)

// One checkpoint of a directory, from a program that saves now and then.
func Example() {
	snapshot, err := os.MkdirTemp("", "snapshot")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(snapshot) }()
	if err := os.WriteFile(filepath.Join(snapshot, "table"), []byte("a=1"), 0o600); err != nil {
		log.Fatal(err)
	}
	if err := saveOnce(context.Background(), "mem://", snapshot, []byte("42")); err != nil {
		log.Fatal(err)
	}
	// Output: 1 3 <nil>
}

// saveOnce holds the example of the README, which a test compares.
func saveOnce(ctx context.Context, storeURL, snapshot string, offsets []byte) error {
	store, err := tidemark.Open(ctx, storeURL, nil) // gs://bucket/prefix, s3://…, file:///dir
	if err != nil {
		return err
	}
	defer store.Close()
	info, err := store.Save(ctx, "orders", func(w *checkpoint.Writer) error {
		w.SetMetadata("offsets", offsets) // the job's own bytes
		return w.AddDir("db", snapshot)   // only what changed travels
	}, nil)
	fmt.Println(info.Checkpoint, info.NewBytes, err)
	return err
}

// A stream job: it takes the job over, goes on where the last owner committed, and commits its state together with its position.
func Example_streamJob() {
	ctx := context.Background()
	store, err := tidemark.Open(ctx, "mem://example", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	for range 2 { // the second run is the one after a crash
		if err := runJob(ctx, store); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// starting from nothing
	// committed checkpoint 1 at position 100
	// restored checkpoint 1 at position 100
	// committed checkpoint 2 at position 200
}

func runJob(ctx context.Context, store *tidemark.Store) error {
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()

	// From here on, older owners of the job can no longer commit.
	job, err := store.Acquire(ctx, "orders", &checkpoint.AcquireOptions{Retention: checkpoint.Retention{KeepLast: 3}})
	if err != nil {
		return err
	}
	defer func() { _ = job.Close() }()

	position := 0
	last, err := job.Latest(ctx)
	switch {
	case errors.Is(err, checkpoint.ErrNotFound):
		fmt.Println("starting from nothing")
	case err != nil:
		return err // also a lost permission: never start from nothing because of an error
	default:
		if _, err := last.RestoreDir(ctx, "db", dir, nil); err != nil {
			return err
		}
		metadata, err := last.Metadata(ctx)
		if err != nil {
			return err
		}
		if _, err := fmt.Sscan(string(metadata["position"]), &position); err != nil {
			return err
		}
		fmt.Printf("restored checkpoint %d at position %d\n", last.Info().Checkpoint, position)
	}

	position += 100 // the work: read records, change the state
	if err := os.WriteFile(filepath.Join(dir, "sum"), fmt.Append(nil, position), 0o600); err != nil {
		return err
	}

	w, err := job.Begin(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = w.Abort() }() // nothing after Commit
	if err := w.AddDir("db", dir); err != nil {
		return err
	}
	w.SetMetadata("position", fmt.Append(nil, position))
	info, err := w.Commit(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("committed checkpoint %d at position %d\n", info.Checkpoint, position)
	return nil
}
