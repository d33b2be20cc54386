package checkpoint_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"

	"github.com/tidemark-go/tidemark/checkpoint"
)

// exampleJob is a job with three checkpoints of one part.
func exampleJob(ctx context.Context) *checkpoint.Owner {
	store, err := checkpoint.Open(ctx, "mem://", nil)
	if err != nil {
		log.Fatal(err)
	}
	owner, err := store.Acquire(ctx, "orders", nil)
	if err != nil {
		log.Fatal(err)
	}
	for i := range 3 {
		w, err := owner.Begin(ctx, nil)
		if err != nil {
			log.Fatal(err)
		}
		if err := w.Add("totals", strings.NewReader(fmt.Sprintf("sum=%d", 10*(i+1)))); err != nil {
			log.Fatal(err)
		}
		if _, err := w.Commit(ctx); err != nil {
			log.Fatal(err)
		}
	}
	return owner
}

// An administrator tags a savepoint, retires the rest and deletes what nothing needs any more, beside the running owner.
func ExampleJob_Collect() {
	ctx := context.Background()
	job := exampleJob(ctx).Job
	if _, err := job.Tag(ctx, "1", "before-upgrade"); err != nil {
		log.Fatal(err)
	}
	retired, err := job.Retain(ctx, checkpoint.Retention{KeepLast: 1}, false)
	if err != nil {
		log.Fatal(err)
	}
	for _, info := range retired {
		fmt.Println("retired", info.Checkpoint)
	}
	report, err := job.Collect(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("deleted", report.DeletedObjects, "of", report.DeletedObjects+report.LiveObjects, "objects")
	// Output:
	// retired 2
	// deleted 1 of 3 objects
}

// One part is read without restoring the rest; at any offset, and verified.
func ExampleCheckpoint_Open() {
	ctx := context.Background()
	job := exampleJob(ctx)
	c, err := job.Find(ctx, "-1") // the one before the latest
	if err != nil {
		log.Fatal(err)
	}
	part, err := c.Open(ctx, "totals")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = part.Close() }()
	value := make([]byte, 2)
	if _, err := part.ReadAt(value, 4); err != nil {
		log.Fatal(err)
	}
	whole, err := io.ReadAll(part)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s of %s, %d bytes\n", value, whole, part.Size())
	// Output: 20 of sum=20, 6 bytes
}
