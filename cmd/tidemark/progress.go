package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tidemark-go/tidemark/checkpoint"
	"golang.org/x/term"
)

const (
	progressAfter    = time.Second            // shorter work needs none
	progressTerminal = 200 * time.Millisecond // smooth to the eye, nothing to the CPU
	progressPlain    = 10 * time.Second       // a log is read later; more lines would only be noise
)

// progress shows how an operation goes on until stop is called.
type progress struct {
	checkpoint.Progress
	verb       string
	out        io.Writer
	isTerminal bool
	started    time.Time
	quit, done chan struct{}
}

// startProgress watches an operation named by verb ("saved"). Stop it before anything else is written.
func (a *app) startProgress(verb string) *progress {
	file, isFile := a.err.(*os.File)
	p := newProgress(verb, a.err, isFile && term.IsTerminal(int(file.Fd())))
	p.start(a.quiet)
	return p
}

func newProgress(verb string, out io.Writer, isTerminal bool) *progress {
	return &progress{verb: verb, out: out, isTerminal: isTerminal, started: time.Now(), quit: make(chan struct{}), done: make(chan struct{})}
}

func (p *progress) start(quiet bool) {
	if quiet {
		close(p.done)
		return
	}
	go p.watch()
}

func (p *progress) stop() {
	close(p.quit)
	<-p.done
}

func (p *progress) watch() {
	defer close(p.done)
	first, interval := progressPlain, progressPlain
	if p.isTerminal {
		first, interval = progressAfter, progressTerminal
	}
	timer := time.NewTimer(first)
	defer timer.Stop()
	shown := false
	for {
		select {
		case <-p.quit:
			if shown && p.isTerminal {
				_, _ = io.WriteString(p.out, "\r\x1b[K")
			}
			return
		case <-timer.C:
			line := p.line(time.Since(p.started))
			if p.isTerminal {
				line = "\r" + line + "\x1b[K"
			} else {
				line += "\n"
			}
			_, _ = io.WriteString(p.out, line)
			shown = true
			timer.Reset(interval)
		}
	}
}

// line is bytes, rate and remaining time, as far as they are known.
func (p *progress) line(elapsed time.Duration) string {
	bytes, total := p.Bytes.Load(), p.Total.Load()
	rate := float64(bytes) / elapsed.Seconds()
	s := p.verb + " " + humanBytes(bytes)
	if total > 0 {
		s += " of " + humanBytes(total)
	}
	s += fmt.Sprintf(", %s, %s/s", plural(p.Parts.Load(), "part"), humanBytes(int64(rate)))
	if total > bytes && rate >= 1 {
		s += ", " + humanDuration(time.Duration(float64(total-bytes)/rate*float64(time.Second))) + " left"
	}
	return s
}
