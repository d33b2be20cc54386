package bench

import (
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
)

// SoakSample is what a process held at a moment. What cannot be told outside of Linux is zero.
type SoakSample struct {
	At          float64   `json:"at"`             // seconds since the beginning
	Heap        int64     `json:"heap"`           // bytes that the last collection found alive
	RSS         int64     `json:"rss"`            // resident: allocated memory, the program, mapped files
	Anon        int64     `json:"anon"`           // of it, what was allocated
	Group       int64     `json:"group"`          // what the memory cgroup counts
	Goroutines  int       `json:"goroutines"`     //
	Files       int       `json:"files"`          // descriptors, connections included
	Connections int       `json:"connections"`    // sockets
	Work        *SoakWork `json:"work,omitempty"` // so far
}

// takeSample looks at this process.
func takeSample() SoakSample {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	m := ownMemory("self")
	s := SoakSample{Heap: int64(live[0].Value.Uint64()), RSS: m.Anon + m.File, Anon: m.Anon, Goroutines: runtime.NumGoroutine()}
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return s
	}
	s.Files = len(entries) - 1 // that of the directory itself
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, "socket:") {
			s.Connections++
		}
	}
	return s
}
