package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	testscript.Main(leakChecked{m}, map[string]func(){"tidemark": main})
}

// leakChecked fails a run of tests that leaves a goroutine behind.
type leakChecked struct{ m *testing.M }

func (l leakChecked) Run() int {
	code := l.m.Run()
	if code != 0 {
		return code
	}
	// Linked in by the storage client, started by its package's init, ended by nobody.
	openCensus := goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start")
	if err := goleak.Find(openCensus); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
