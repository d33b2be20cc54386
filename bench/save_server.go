package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// benchBucket is where everybody saves.
const benchBucket = "bench"

// The orders of the server's process.
const (
	serverFresh  = "fresh"  // an empty store
	serverBucket = "bucket" // make a bucket in it
	serverDelay  = "delay"  // make every storage request take longer
	serverReset  = "reset"  // start counting
	serverCounts = "counts" // what was counted since
)

type serverOrder struct {
	Do     string        `json:"do"`
	Memory int64         `json:"memory,omitempty"`
	Bucket string        `json:"bucket,omitempty"`
	Delay  time.Duration `json:"delay,omitempty"`
}

type serverAnswer struct {
	Error    string                 `json:"error,omitempty"`
	Storage  string                 `json:"storage,omitempty"`
	Metadata string                 `json:"metadata,omitempty"`
	Counts   emulator.RequestCounts `json:"counts"`
	CPU      cpu                    `json:"cpu"` // since the last reset
}

// storeServer is the server's process: one cloud at a time, on loopback, in memory.
type storeServer struct {
	cloud *emulator.Cloud
	store *benchStore
	since cpu
}

// serveStore carries out orders until its input ends.
func serveStore(in io.Reader, out io.Writer) (err error) {
	// The garbage of the bodies that were received must not cost every contender a collection a second.
	debug.SetGCPercent(200)
	s := new(storeServer)
	defer func() { err = errors.Join(err, s.close()) }()
	orders, enc := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o serverOrder
		if err := orders.Decode(&o); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("bench: the server reads an order: %w", err)
		}
		a, err := s.carryOut(o)
		if err != nil {
			a.Error = err.Error()
		}
		if err := enc.Encode(a); err != nil {
			return fmt.Errorf("bench: the server answers: %w", err)
		}
	}
}

func (s *storeServer) carryOut(o serverOrder) (a serverAnswer, err error) {
	switch o.Do {
	case serverFresh:
		if err := s.close(); err != nil {
			return a, err
		}
		debug.FreeOSMemory() // what the contender before had stored
		s.cloud, err = emulator.Listen(context.Background(), &emulator.Options{StorageHandler: func(authorize func(string) error) http.Handler {
			s.store = newBenchStore(authorize, o.Memory)
			return s.store
		}})
		if err != nil {
			return a, err
		}
		s.store.rest.reset()
		return serverAnswer{Storage: s.cloud.StorageURL(), Metadata: s.cloud.MetadataHost()}, nil
	case serverBucket:
		return a, s.cloud.CreateBucket(o.Bucket)
	case serverDelay:
		if o.Delay == 0 {
			return a, s.cloud.SetFaults()
		}
		return a, s.cloud.SetFaults(emulator.Fault{
			Match: emulator.Match{Server: emulator.ServerStorage}, Then: emulator.Then{Effect: emulator.EffectDelay, For: o.Delay},
		})
	case serverReset:
		s.cloud.ResetRequests()
		s.store.rest.reset()
		s.since = ownCPU()
		return a, nil
	case serverCounts:
		a = serverAnswer{Counts: s.cloud.Requests(), CPU: ownCPU().minus(s.since)}
		s.store.rest.correct(&a.Counts)
		return a, nil
	}
	return a, fmt.Errorf("bench: the server has no order %q", o.Do)
}

func (s *storeServer) close() error {
	if s.cloud == nil {
		return nil
	}
	err := errors.Join(s.cloud.Close(), s.store.rest.store.Close())
	s.cloud, s.store = nil, nil
	return err
}
