package emulator

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
)

// race runs f n times at once.
func race(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}

func lost(err error) bool {
	var e *googleapi.Error
	return errors.As(err, &e) && e.Code == http.StatusPreconditionFailed
}

func TestStorageCreateIfAbsentHasOneWinner(t *testing.T) {
	const writers = 64
	s, srv := newTestStorage(t, nil)
	client := newTestClient(t, srv)
	for _, chunkSize := range []int{0, 256 << 10} {
		o := client.Bucket(testBucket).Object(fmt.Sprint("head-", chunkSize)).If(storage.Conditions{DoesNotExist: true})
		var winners atomic.Int64
		var winner atomic.Int64
		race(writers, func(i int) {
			body := bytes.Repeat([]byte{byte(i)}, 300<<10)
			switch attrs, err := put(t.Context(), o, body, chunkSize); {
			case err == nil:
				winners.Add(1)
				winner.Store(attrs.Generation<<8 | int64(i))
			case !lost(err):
				t.Errorf("writer %d: %v", i, err)
			}
		})
		if winners.Load() != 1 {
			t.Fatalf("%d winners", winners.Load())
		}
		plain := client.Bucket(testBucket).Object(o.ObjectName())
		got, r, err := get(t.Context(), plain, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if int64(got[0])|r.Attrs.Generation<<8 != winner.Load() {
			t.Errorf("stored is generation %d of writer %d, not the winner's", r.Attrs.Generation, got[0])
		}
	}
	if used := s.memory.used.Load(); used != 2*300<<10 {
		t.Errorf("losers left %d bytes in the budget", used-2*300<<10)
	}
}

func TestStorageCompareAndSwapLosesNoUpdate(t *testing.T) {
	const writers, each = 8, 25
	_, srv := newTestStorage(t, nil)
	o := newTestClient(t, srv).Bucket(testBucket).Object("counter")
	mustPut(t, o, []byte("0"))
	var generations sync.Map
	race(writers, func(int) {
		for done := 0; done < each; {
			body, r, err := get(t.Context(), o, 0, -1)
			if err != nil {
				t.Error(err)
				return
			}
			n, err := strconv.Atoi(string(body))
			if err != nil {
				t.Error(err)
				return
			}
			swap := o.If(storage.Conditions{GenerationMatch: r.Attrs.Generation})
			attrs, err := put(t.Context(), swap, []byte(strconv.Itoa(n+1)), 0)
			switch {
			case err == nil:
				done++
				if attrs.Generation <= r.Attrs.Generation {
					t.Errorf("generation went from %d to %d", r.Attrs.Generation, attrs.Generation)
				}
				if _, again := generations.LoadOrStore(attrs.Generation, true); again {
					t.Errorf("generation %d came twice", attrs.Generation)
				}
			case !lost(err):
				t.Error(err)
				return
			}
		}
	})
	if got, _, err := get(t.Context(), o, 0, -1); err != nil || string(got) != strconv.Itoa(writers*each) {
		t.Errorf("counter = %q, %v, want %d", got, err, writers*each)
	}
}

// Generations must grow although the clock of a synctest bubble stands still.
func TestStorageGenerationsGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewStorage(nil)
		var last int64
		for i := range 100 {
			bucket, name := fmt.Sprint("bucket-", i%3), fmt.Sprint("o", i%2)
			if err := s.CreateBucket(bucket); err != nil {
				t.Fatal(err)
			}
			o := &object{bucket: bucket, name: name}
			if err := s.create(o, &conditions{}); err != nil {
				t.Fatal(err)
			}
			if o.generation <= last {
				t.Fatalf("write %d got generation %d after %d", i, o.generation, last)
			}
			last = o.generation
			if i%5 == 0 {
				if err := s.remove(bucket, name, &conditions{}); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

func TestStorageRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewStorage(&StorageOptions{RateLimit: true})
		if err := s.CreateBucket(testBucket); err != nil {
			t.Fatal(err)
		}
		create := func(name string) error { return s.create(&object{bucket: testBucket, name: name}, &conditions{}) }
		if err := create("a"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(999 * time.Millisecond)
		if err := create("a"); !isRate(err) {
			t.Errorf("second write within a second: %v", err)
		}
		if err := s.remove(testBucket, "a", &conditions{}); !isRate(err) {
			t.Errorf("deletion within a second: %v", err)
		}
		if err := create("b"); err != nil {
			t.Errorf("other name: %v", err)
		}
		zero := int64(0)
		err := s.create(&object{bucket: testBucket, name: "a"}, &conditions{generationIs: &zero})
		if isRate(err) || err == nil {
			t.Errorf("a write that loses anyway: %v, want a failed precondition", err)
		}
		time.Sleep(time.Millisecond)
		if err := s.remove(testBucket, "a", &conditions{}); err != nil {
			t.Errorf("after a second: %v", err)
		}
		if err := create("a"); !isRate(err) {
			t.Errorf("write right after the deletion: %v", err)
		}
		for i := range 2 * maxChanged {
			if err := create(fmt.Sprint("many", i)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		if n := len(s.buckets[testBucket].changed); n > maxChanged {
			t.Errorf("%d names are remembered", n)
		}
	})
}

// Trap 38: a server that reads a body under its lock lets one stalled upload block everybody.
func TestStorageStalledUploadBlocksNobody(t *testing.T) {
	_, srv := newTestStorage(t, nil)
	client := newTestClient(t, srv)
	o := client.Bucket(testBucket).Object("contended")
	mustPut(t, o, []byte("before"))

	body, feed := io.Pipe()
	sent := make(chan struct{})
	var stalled sync.WaitGroup
	stalled.Go(func() {
		resp, err := newHTTPClient(t, "").Post(srv.URL+"/upload/storage/v1/b/"+testBucket+"/o?uploadType=media&name=contended", "", body)
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
	})
	stalled.Go(func() {
		_, _ = feed.Write(noise(1 << 20))
		close(sent)
	})
	<-sent
	mustPut(t, o, []byte("meanwhile"))
	if got, _, err := get(t.Context(), o, 0, -1); err != nil || string(got) != "meanwhile" {
		t.Errorf("read during the stall: %q, %v", got, err)
	}
	_ = feed.Close()
	stalled.Wait()
	if got, _, err := get(t.Context(), o, 0, -1); err != nil || len(got) != 1<<20 {
		t.Errorf("after the stall: %d bytes, %v", len(got), err)
	}
}
