package bench

import (
	"context"
	"slices"
)

// The verbs of the save benchmark.
const (
	VerbSave    = "save"
	VerbRestore = "restore"
	// VerbPrepare comes before the first save of a program.
	VerbPrepare = "prepare"
	verbOpen    = "open"
)

// Saver is one way to bring a directory into an object store and back, set up as its users set it up. It is a library, with
// Open, or a program, with Command.
type Saver struct {
	Name  string // short; what --contenders takes
	About string // one line: what it is, with the settings that matter

	// Find says whether the contender can be measured here, and which version it is; it may build it below dir, which is
	// its own. Nil: it can.
	Find func(ctx context.Context, dir string) (version string, err error)

	// Program is the program that plays the part of a library's process, made by Find; it calls [Child]. Nil: this one.
	Program func(tools string) string
	// Prepare is called once for a store, in a process of its own, before anything is measured. It may be nil.
	Prepare func(context.Context, Place) error

	// Open makes a session in a process of its own. What it does counts, unless the contender is Resident.
	Open func(context.Context, Place) (Session, error)
	// Resident contenders stay between a save and the next, as a job does that goes on. Others are started for each save and restore.
	Resident bool
	// Env is for the process of a library, such as GOMEMLIMIT=48MiB.
	Env []string

	// Command is the program for a verb: save or restore of dir; prepare, once for a store, before anything is measured. A
	// command without arguments says that there is nothing to do.
	Command func(p Place, verb, dir string) Command

	// Verbs are what it can do; nil: both.
	Verbs []string
	// Skip names cases that make no sense for it.
	Skip func(verb, name string) bool
}

// Command is a program to run.
type Command struct {
	Args []string
	Env  []string // beside what every contender has
	Dir  string   // to run in; default a directory of the contender's own
}

// Place is an empty bucket in a storage server that speaks Google's JSON API. Tokens come from a metadata server, to which
// GCE_METADATA_HOST points.
type Place struct {
	Storage string `json:"storage"` // http://127.0.0.1:port
	Bucket  string `json:"bucket"`
	// Scratch is a directory of the contender's own, for configuration and caches, as long as the bucket lasts. It is HOME.
	Scratch string `json:"scratch"`
	// Tools is the directory that Find was given.
	Tools string `json:"tools"`
}

// Session saves and restores in a store.
type Session interface {
	// Save saves dir, as the successor of what was saved before.
	Save(ctx context.Context, dir string) (Outcome, error)
	// Restore restores what was saved last into dir, which is empty.
	Restore(ctx context.Context, dir string) (Outcome, error)
	Close() error
}

// Outcome is what a contender itself says of a save, if it does.
type Outcome struct {
	Bytes       int64 `json:"bytes,omitempty"`
	NewBytes    int64 `json:"new_bytes,omitempty"` // of the state, that were not in the store
	StoredBytes int64 `json:"stored_bytes,omitempty"`
}

// Savers are those that need no other module.
func Savers() []Saver {
	return []Saver{tidemarkSave(), tidemarkSmall(), tidemarkTrusting(), tidemarkJob(), idle()}
}

func indexOfSaver(savers []Saver, name string) int {
	return slices.IndexFunc(savers, func(s Saver) bool { return s.Name == name })
}

func (s *Saver) can(verb, name string) bool {
	return (s.Verbs == nil || slices.Contains(s.Verbs, verb)) && (s.Skip == nil || !s.Skip(verb, name))
}
