package demo

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/tidemark-go/tidemark/checkpoint"
)

// assignment is what a worker is told, as one line on its standard input. That stays open: its end is the parent's.
type assignment struct {
	Worker   int           `json:"worker"`
	Store    string        `json:"store"`
	Job      string        `json:"job"`
	Broker   brokerAddress `json:"broker"`
	Schema   schema        `json:"schema"`
	Records  uint64        `json:"records"`  // the job is done after so many
	Rate     float64       `json:"rate"`     // records a second at most
	Interval time.Duration `json:"interval"` // between checkpoints, in nanoseconds
	Dir      string        `json:"dir"`      // the worker's own, empty
	Live     string        `json:"live"`     // file for the dump of its final state
	Restored string        `json:"restored"` // file for the same, as restored from the last checkpoint
}

type eventKind string

const (
	eventRunning   eventKind = "running"   // owns the job, has restored
	eventProgress  eventKind = "progress"  //
	eventSaving    eventKind = "saving"    // a commit is about to be sent
	eventCommitted eventKind = "committed" //
	eventDone      eventKind = "done"      // the last record is in the last checkpoint; both dumps are written
	eventFailed    eventKind = "failed"    //
)

// event is what a worker tells, as a line on its standard output.
type event struct {
	Kind     eventKind `json:"kind"`
	Sequence uint64    `json:"sequence,omitempty"`
	Clients  int       `json:"clients,omitempty"` // storage clients opened so far by this worker

	// Of the checkpoint that was restored or committed.
	Checkpoint  uint64        `json:"checkpoint,omitempty"`
	Epoch       uint64        `json:"epoch,omitempty"`
	Bytes       int64         `json:"bytes,omitempty"`
	NewBytes    int64         `json:"new_bytes,omitempty"`
	StoredBytes int64         `json:"stored_bytes,omitempty"`
	Took        time.Duration `json:"took,omitempty"`

	Credentials string       `json:"credentials,omitempty"` // where the worker's tokens come from
	Fetches     int64        `json:"fetches,omitempty"`     // by the worker's own count
	Summary     summary      `json:"summary,omitzero"`
	Failure     *workerError `json:"failure,omitempty"`
}

// reporter writes events. A worker's goroutines share it.
type reporter struct {
	mu  sync.Mutex
	enc *json.Encoder
}

func newReporter(w io.Writer) *reporter { return &reporter{enc: json.NewEncoder(w)} }

func (r *reporter) send(e event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.enc.Encode(e); err != nil {
		return fmt.Errorf("report to the parent: %w", err)
	}
	return nil
}

// workerError is why a worker failed. It keeps on the way to the parent what exit codes and hints are made of.
type workerError struct {
	Message     string `json:"message"`
	Code        string `json:"code,omitempty"` // checkpoint.Error's, and its hint
	Hint        string `json:"hint,omitempty"`
	Credentials string `json:"credentials,omitempty"` // what a credentials error says of itself
}

func newWorkerError(err error) *workerError {
	e := &workerError{Message: err.Error()}
	var detail *checkpoint.Error
	if errors.As(err, &detail) {
		e.Code, e.Hint = detail.Code(), detail.Hint
	}
	var credentials interface{ CredentialsError() string }
	if errors.As(err, &credentials) {
		e.Credentials = credentials.CredentialsError()
	}
	return e
}

func (e *workerError) Error() string { return e.Message }

// asError is the error that the worker had, as far as it is known here.
func (e *workerError) asError() error {
	switch {
	case e.Credentials != "":
		return credentialsError{e}
	case e.Code != "":
		return &checkpoint.Error{Kind: kindOf(e.Code), Op: "demo", Hint: e.Hint, Err: e}
	}
	return e
}

// credentialsError is a workerError with credentials.Error's word for what is wrong.
type credentialsError struct{ *workerError }

func (e credentialsError) CredentialsError() string { return e.Credentials }

var kinds = []error{
	checkpoint.ErrNotFound, checkpoint.ErrRetired, checkpoint.ErrCorrupt, checkpoint.ErrFenced, checkpoint.ErrConflict, checkpoint.ErrChanged,
	checkpoint.ErrPermission, checkpoint.ErrCredentials, checkpoint.ErrUnavailable, checkpoint.ErrThrottled, checkpoint.ErrBudget,
	checkpoint.ErrUnsupported, checkpoint.ErrInvalid, checkpoint.ErrNoSpace,
}

func kindOf(code string) error {
	for _, kind := range kinds {
		if (&checkpoint.Error{Kind: kind}).Code() == code {
			return kind
		}
	}
	return errors.New(code)
}
