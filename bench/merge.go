package bench

import (
	"cmp"
	"slices"
)

// merge makes one result of those of several rounds: see [Result].
func merge(rounds []Result) Result {
	m := rounds[len(rounds)-1] // its timeline, and its last error unless another round had one
	m.Rounds = len(rounds)
	var ns []float64
	for _, r := range rounds {
		m.Error = cmp.Or(m.Error, r.Error)
		m.LastError = cmp.Or(m.LastError, r.LastError)
		m.Unrenewed = m.Unrenewed || r.Unrenewed
		m.Fetches = worst(m.Fetches, r.Fetches)
		m.Meanwhile = worst(m.Meanwhile, r.Meanwhile)
		m.Connections = worst(m.Connections, r.Connections)
		m.Calls = worst(m.Calls, r.Calls)
		m.Errors = worst(m.Errors, r.Errors)
		m.Late = worst(m.Late, r.Late)
		m.Overrun = worst(m.Overrun, r.Overrun)
		m.Dark = worst(m.Dark, r.Dark)
		m.Refreshed = worst(m.Refreshed, r.Refreshed)
		m.AllocsPerOp = worst(m.AllocsPerOp, r.AllocsPerOp)
		m.BytesPerOp = worst(m.BytesPerOp, r.BytesPerOp)
		if r.NsPerOp != nil {
			ns = append(ns, *r.NsPerOp)
		}
		m.Latency = m.Latency.worst(r.Latency)
		m.Sidecar = m.Sidecar.worst(r.Sidecar)
	}
	if ns != nil {
		mid, best := median(ns), slices.Min(ns)
		m.NsPerOp, m.BestNsPerOp = &mid, &best
	}
	return m
}

func worst[T cmp.Ordered](a, b *T) *T {
	if a == nil || b != nil && *b > *a {
		return b
	}
	return a
}

func (f *SidecarFigures) worst(o *SidecarFigures) *SidecarFigures {
	if f == nil || o == nil {
		return cmp.Or(f, o)
	}
	return &SidecarFigures{
		Served: min(f.Served, o.Served), Shed: max(f.Shed, o.Shed), Broken: max(f.Broken, o.Broken), Cores: max(f.Cores, o.Cores),
		Peak: max(f.Peak, o.Peak), Anon: max(f.Anon, o.Anon), File: max(f.File, o.File),
	}
}

func (l *Latency) worst(o *Latency) *Latency {
	if l == nil || o == nil {
		return cmp.Or(l, o)
	}
	return &Latency{P50: max(l.P50, o.P50), P99: max(l.P99, o.P99), P999: max(l.P999, o.P999), Max: max(l.Max, o.Max)}
}
