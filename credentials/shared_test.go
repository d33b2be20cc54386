package credentials

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Point 9: a thousand clients at once make one fetch, and the last Close ends everything.
func TestThousandClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(4)
		upstream := &server{name: "a", life: time.Hour, latency: 200 * time.Millisecond}
		handles := make([]*Handle, 1000)
		var wg sync.WaitGroup
		for i := range handles {
			wg.Go(func() {
				handles[i] = r.open(upstream, nil)
				get(t, handles[i])
			})
		}
		wg.Wait()
		if n := upstream.fetches(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		for i, h := range handles {
			if i == len(handles)-1 {
				get(t, h)
			}
			closing(t, h)
			closing(t, h) // closing twice gives up one hold only
		}
		if _, err := handles[0].Get(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("after the last Close: %v", err)
		}
		// The bubble itself fails if a goroutine is left.
	})
}

// Trap 22: ten thousand clients one after the other make one fetch too, and leave nothing behind.
func TestClientPerCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(4)
		upstream := &server{name: "a", life: 12 * time.Hour}
		for range 10000 {
			h := r.open(upstream, nil)
			get(t, h)
			closing(t, h)
			time.Sleep(time.Second)
		}
		if n := upstream.fetches(); n != 1 {
			t.Errorf("%d fetches", n)
		}
		// The bubble itself fails if a goroutine is left.
	})
}

// A client that is closed before a slow server has answered must not start a fetch each time in the stale window.
func TestClientPerCheckpointAndSlowServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(4)
		upstream := &server{name: "a", life: time.Hour, renewBefore: 5 * time.Minute}
		h := r.open(upstream, nil)
		get(t, h)
		closing(t, h)
		time.Sleep(56 * time.Minute)
		upstream.latency = 5 * time.Second
		for range 100 {
			h := r.open(upstream, nil)
			if _, took := get(t, h); took != 0 {
				t.Fatalf("waited %v", took)
			}
			time.Sleep(100 * time.Millisecond)
			closing(t, h)
		}
		if n := upstream.fetches(); n > 4 {
			t.Errorf("%d fetches in 10 s", n)
		}
	})
}

func TestIdentitiesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(4)
		busy := r.open(&server{name: "busy", life: time.Hour}, nil)
		get(t, busy)
		for i := range 100 {
			h := r.open(&server{name: fmt.Sprint(i), life: time.Hour}, nil)
			get(t, h)
			closing(t, h)
		}
		if n := r.idle.Len(); n != 4 {
			t.Errorf("%d idle identities are kept", n)
		}
		again := r.open(&server{name: "busy"}, nil)
		if again.cache != busy.cache {
			t.Error("an identity in use was forgotten")
		}
		closing(t, again)
		get(t, busy)
		closing(t, busy)
		if len(r.live) != 0 {
			t.Errorf("%d caches are held by nobody", len(r.live))
		}
	})
}

func TestIdentities(t *testing.T) {
	a := Metadata(&MetadataOptions{Scopes: []string{"x", "y"}})
	for name, c := range map[string]struct {
		src  Source
		same bool
	}{
		"scopes in other order": {Metadata(&MetadataOptions{Scopes: []string{"y", "x", "x"}}), true},
		"default host":          {Metadata(&MetadataOptions{Host: MetadataHost, Account: "default", Scopes: []string{"x", "y"}}), true},
		"other scopes":          {Metadata(&MetadataOptions{Scopes: []string{"x"}}), false},
		"other host":            {Metadata(&MetadataOptions{Host: "m", Scopes: []string{"x", "y"}}), false},
		"other account":         {Metadata(&MetadataOptions{Account: "b", Scopes: []string{"x", "y"}}), false},
		"static":                {Static("x", "y"), false},
	} {
		if (c.src.Identity() == a.Identity()) != c.same {
			t.Errorf("%s: %q and %q", name, c.src.Identity(), a.Identity())
		}
	}
}

// Handles of one identity are opened and closed while others use it: nobody is cut off.
func TestHandlesComeAndGo(t *testing.T) {
	r := newRegistry(4)
	upstream := &server{name: "a", life: time.Hour}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				h := r.open(upstream, nil)
				get(t, h)
				closing(t, h)
			}
		})
	}
	wg.Wait()
}
