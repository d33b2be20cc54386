package bench

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestQuantile(t *testing.T) {
	thousand := make([]int, 1000)
	for i := range thousand {
		thousand[i] = i + 1
	}
	for _, test := range []struct {
		values []int
		q      float64
		want   int
	}{
		{[]int{7}, 0.5, 7}, {[]int{7}, 0.999, 7}, {[]int{1, 2}, 0.5, 1}, {[]int{1, 2, 3}, 0.5, 2},
		{thousand, 0, 1}, {thousand, 0.5, 500}, {thousand, 0.99, 990}, {thousand, 0.999, 999}, {thousand, 1, 1000},
		{thousand[:100], 0.99, 99}, {thousand[:100], 0.999, 100},
	} {
		if got := quantile(test.values, test.q); got != test.want {
			t.Errorf("quantile %v of %d values is %d, want %d", test.q, len(test.values), got, test.want)
		}
	}
	if got := median([]float64{9, 1, 5}); got != 5 {
		t.Errorf("median %v", got)
	}
}

func at(ms int) time.Time { return time.Unix(1000, 0).Add(time.Duration(ms) * time.Millisecond) }

// TestHeldCallersCountFully: a caller that asks every 10 ms and is held for 100 ms would have asked ten times.
func TestHeldCallersCountFully(t *testing.T) {
	v := view{samples: []sample{
		{began: at(0), ended: at(1), every: 10 * time.Millisecond},
		{began: at(10), ended: at(110), every: 10 * time.Millisecond},
	}}
	l := v.latency()
	if l.P50 != 0.05 || l.P99 != 0.1 || l.Max != 0.1 {
		t.Errorf("%+v", *l)
	}
	v.samples[1].every = 0 // a caller that comes once
	if l := v.latency(); l.P50 != 0.001 || l.Max != 0.1 {
		t.Errorf("%+v", *l)
	}
	if (view{}).latency() != nil {
		t.Error("there are quantiles of nothing")
	}
}

func TestDark(t *testing.T) {
	bad := errors.New("bad")
	v := view{from: at(0), to: at(3000)}
	for _, ms := range []int{100, 300, 1300, 1400, 2900} {
		v.samples = append(v.samples, sample{began: at(ms - 1), ended: at(ms)})
	}
	for ms := 1500; ms < 2900; ms += 100 {
		v.samples = append(v.samples, sample{began: at(ms - 1), ended: at(ms), err: bad})
	}
	spans, total := v.dark()
	want := [][2]time.Time{{at(300), at(1300)}, {at(1400), at(2900)}}
	if !slices.Equal(spans, want) || total != 2500*time.Millisecond {
		t.Errorf("dark for %v: %v", total, spans)
	}
	if n, last := v.errors(); n != 14 || !errors.Is(last, bad) {
		t.Errorf("%d errors, %v", n, last)
	}
}

func TestTallyNoticesTheNewToken(t *testing.T) {
	seen := &tally{first: "old"}
	seen.add(sample{ended: at(1)}, "old")
	seen.add(sample{ended: at(2), err: errors.New("bad")}, "")
	if !seen.renewedAt().IsZero() {
		t.Error("an error counts as a new token")
	}
	seen.add(sample{ended: at(3)}, "new")
	seen.add(sample{ended: at(4)}, "newer")
	if got := seen.renewedAt(); got != at(3) {
		t.Errorf("renewed at %v", got)
	}
	if v := seen.between(at(2), at(3)); len(v.samples) != 2 {
		t.Errorf("%d calls between", len(v.samples))
	}
}

func TestMergeTakesTheWorst(t *testing.T) {
	n := func(i int) *int { return &i }
	f := func(x float64) *float64 { return &x }
	m := merge([]Result{
		{Contender: "c", Fetches: n(3), Dark: f(0), NsPerOp: f(5), LastError: "once", Latency: &Latency{1, 2, 3, 9}},
		{Contender: "c", Fetches: n(1), Dark: f(2), NsPerOp: f(4), Refreshed: f(1), Latency: &Latency{2, 2, 4, 4}},
		{Contender: "c", Fetches: n(2), Dark: f(1), NsPerOp: f(9), Unrenewed: true, Latency: &Latency{1, 1, 1, 1}},
	})
	if m.Rounds != 3 || *m.Fetches != 3 || *m.Dark != 2 || *m.NsPerOp != 5 || *m.BestNsPerOp != 4 || *m.Refreshed != 1 ||
		!m.Unrenewed || m.LastError != "once" || *m.Latency != (Latency{2, 2, 4, 9}) || m.Calls != nil {
		t.Errorf("%+v", m)
	}
}

// TestHeldCallsAreSeen: who waits still when a case ends has waited for long, and got nothing.
func TestHeldCallsAreSeen(t *testing.T) {
	seen := &tally{}
	s := seen.begin(0)
	v := seen.between(s.began, s.began.Add(time.Second))
	if n, _ := v.errors(); len(v.samples) != 1 || n != 0 || v.latency().Max != 1 {
		t.Errorf("%d calls, %d errors, %+v", len(v.samples), n, v.latency())
	}
	if _, dark := v.dark(); dark != time.Second {
		t.Errorf("dark for %v", dark)
	}
	seen.end(s, sample{began: s.began, ended: s.began.Add(time.Millisecond)}, "new")
	if v := seen.between(s.began, s.began.Add(time.Second)); len(v.samples) != 1 || v.samples[0].held || seen.renewedAt().IsZero() {
		t.Errorf("%+v", v.samples)
	}
}
