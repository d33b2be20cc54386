package soak

import (
	"fmt"
	"sync"
)

// remembered is how many numbers of checkpoints below the newest the referee keeps in mind: more than any job retains without a tag. What it holds must not
// grow with time, since it lives in the process whose memory is watched.
const remembered = 64

// maxViolations bounds what is told in words; all are counted.
const maxViolations = 50

// Note is what the referee is told, in the order in which it became true. Notes can be carried to the referee of another process.
type Note struct {
	Do         string `json:"do"`
	Job        string `json:"job"`
	Epoch      uint64 `json:"epoch,omitempty"`
	Checkpoint uint64 `json:"checkpoint,omitempty"`
	Step       uint64 `json:"step,omitempty"`
}

// What a Note is about.
const (
	noteTry     = "try"     // a commit is about to be sent
	noteAcked   = "acked"   // it was acknowledged
	noteRefused = "refused" // it failed, and is promised never to be visible
	noteUnknown = "unknown" // it failed, and may be visible
	noteFloor   = "floor"   // this checkpoint was acknowledged or seen to be the latest
)

// The kinds of violations.
const (
	Wrong   = "wrong"   // bytes are not what was saved
	Lost    = "lost"    // an acknowledged checkpoint is not there, or another one is
	Fence   = "fence"   // an owner that was taken over committed
	Kind    = "kind"    // an operation ended in an error of a kind that is not right
	Hang    = "hang"    // something went on for too long, or a process died
	Garbage = "garbage" // something was left that nobody needs
)

// Violation is a promise that was broken.
type Violation struct {
	Kind   string `json:"kind"`
	Job    string `json:"job"`
	Detail string `json:"detail"`
}

// Referee knows what was acknowledged, and says what must not be.
type Referee struct {
	// Tell, if set, is given every note, in order, while the referee is locked.
	Tell func(Note)
	// Object, if set, is told each violation.
	Object func(Violation)

	mu         sync.Mutex
	clock      uint64
	jobs       map[string]*record
	violations int
}

// record is what is known of a job.
type record struct {
	steps  uint64 // the last one that was given out
	floor  uint64 // nobody who looks from now on may find less
	epoch  uint64 // the newest that was acquired for certain
	tries  map[uint64][]*try
	claims []*claim
	tagged map[uint64]bool
}

// try is one try of a commit.
type try struct {
	epoch, step uint64
	state       string // a note's Do
}

// claim is one try to acquire a job.
type claim struct {
	begun, ended uint64 // on the referee's clock; ended 0: not yet
	epoch        uint64 // 0: it failed, or has not ended
	known        uint64 // the newest epoch that was known when it began
}

func (r *Referee) job(name string) *record {
	if r.jobs == nil {
		r.jobs = map[string]*record{}
	}
	j := r.jobs[name]
	if j == nil {
		j = &record{tries: map[uint64][]*try{}, tagged: map[uint64]bool{}}
		r.jobs[name] = j
	}
	return j
}

// object is called with mu held.
func (r *Referee) object(kind, job, format string, args ...any) {
	r.violations++
	if r.Object != nil && r.violations <= maxViolations {
		r.Object(Violation{Kind: kind, Job: job, Detail: fmt.Sprintf(format, args...)})
	}
}

// Violate reports what somebody else found.
func (r *Referee) Violate(kind, job, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.object(kind, job, format, args...)
}

// Violations is how many there were.
func (r *Referee) Violations() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.violations
}

// Step gives out a step that no other save of the job has.
func (r *Referee) Step(job string) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.job(job)
	j.steps++
	return j.steps
}

// Replay takes notes from elsewhere.
func (r *Referee) Replay(notes ...Note) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range notes {
		r.note(n)
	}
}

// History is what another referee has to be told about a job to judge it from now on.
func (r *Referee) History(job string) []Note {
	r.mu.Lock()
	defer r.mu.Unlock()
	j := r.job(job)
	var notes []Note
	for number, tries := range j.tries {
		for _, t := range tries {
			notes = append(notes, Note{noteTry, job, t.epoch, number, t.step})
			if t.state != noteTry {
				notes = append(notes, Note{t.state, job, t.epoch, number, t.step})
			}
		}
	}
	return append(notes, Note{Do: noteFloor, Job: job, Epoch: j.epoch, Checkpoint: j.floor, Step: j.steps})
}

// note is called with mu held.
func (r *Referee) note(n Note) {
	if r.Tell != nil {
		r.Tell(n)
	}
	j := r.job(n.Job)
	switch n.Do {
	case noteTry:
		j.steps = max(j.steps, n.Step)
		j.tries[n.Checkpoint] = append(j.tries[n.Checkpoint], &try{n.Epoch, n.Step, noteTry})
	case noteFloor:
		j.floor, j.steps, j.epoch = max(j.floor, n.Checkpoint), max(j.steps, n.Step), max(j.epoch, n.Epoch)
		j.forget()
	default:
		if t := j.find(n.Checkpoint, n.Step); t != nil {
			t.state = n.Do
		}
		if n.Do == noteAcked {
			j.floor = max(j.floor, n.Checkpoint)
		}
	}
}

func (j *record) find(checkpoint, step uint64) *try {
	for _, t := range j.tries[checkpoint] {
		if t.step == step {
			return t
		}
	}
	return nil
}

func (j *record) forget() {
	for number := range j.tries {
		if number+remembered < j.floor && !j.tagged[number] {
			delete(j.tries, number)
		}
	}
}
