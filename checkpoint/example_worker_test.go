package checkpoint_test

import (
	"context"
	"fmt"
	"log"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/checkpoint"
)

// A job whose state lies in several processes: each worker saves its share, and the coordinator commits all of them at once. Here the processes are
// goroutines, and the channel between them is a Go channel; bytes are all that travels.
func ExampleJob_Join() {
	ctx := context.Background()
	store, err := checkpoint.Open(ctx, "mem://", nil)
	if err != nil {
		log.Fatal(err)
	}

	// A worker's process.
	handles := make(chan []byte)
	worker := func(assignment []byte, name string) {
		job, err := store.Job("orders")
		if err != nil {
			log.Fatal(err)
		}
		w, err := job.Join(ctx, assignment, name)
		if err != nil {
			log.Fatal(err)
		}
		defer func() { _ = w.Abort() }()
		if err := w.Add(name+"/totals", strings.NewReader("state of "+name)); err != nil {
			log.Fatal(err)
		}
		handle, err := w.Finish(ctx)
		if err != nil {
			log.Fatal(err)
		}
		handles <- handle
	}

	// The coordinator's.
	owner, err := store.Acquire(ctx, "orders", nil)
	if err != nil {
		log.Fatal(err)
	}
	c, err := owner.Begin(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = c.Abort() }()
	assignment, err := c.Assignment()
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"enrich/0", "enrich/1"} {
		go worker(assignment, name)
	}
	for range 2 {
		if _, err := c.AddHandle(<-handles); err != nil {
			log.Fatal(err)
		}
	}
	info, err := c.Commit(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range c.Handles() {
		fmt.Println(h.Worker, h.Parts)
	}
	fmt.Println(info.Parts, "parts in checkpoint", info.Checkpoint)
	// Output:
	// enrich/0 1
	// enrich/1 1
	// 2 parts in checkpoint 1
}

// A worker needs no assignment: the numbers will do, at the price of a GET of HEAD.
func ExampleJob_Worker() {
	ctx := context.Background()
	owner := exampleJob(ctx)
	c, err := owner.Begin(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	w := owner.Worker(owner.Epoch(), c.Checkpoint(), "enrich/3")
	if err := w.Add("enrich/3/totals", strings.NewReader("sum=40")); err != nil {
		log.Fatal(err)
	}
	handle, err := w.Finish(ctx)
	if err != nil {
		log.Fatal(err)
	}
	taken, err := c.AddHandle(handle)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := c.Commit(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(taken.Worker, taken.Bytes, "bytes")
	// Output: enrich/3 6 bytes
}

// A checkpoint every few milliseconds (in production: seconds), until the job ends or has lost its ownership.
func ExampleSchedule() {
	ctx, stop := context.WithCancel(context.Background())
	owner := exampleJob(ctx)
	err := checkpoint.Schedule(ctx, func(ctx context.Context) error {
		w, err := owner.Begin(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = w.Abort() }()
		if err := w.Add("totals", strings.NewReader("sum=40")); err != nil {
			return err
		}
		info, err := w.Commit(ctx)
		if info.Checkpoint == 6 {
			stop()
		}
		return err
	}, &checkpoint.ScheduleOptions{Interval: 5 * time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	last, err := owner.Latest(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("latest is", last.Info().Checkpoint)
	// Output: latest is 6
}
