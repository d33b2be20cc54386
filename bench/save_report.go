package bench

import (
	"cmp"
	"slices"

	"github.com/tidemark-go/tidemark/emulator"
)

// SaveReport is the outcome of [RunSave].
type SaveReport struct {
	Environment Environment  `json:"environment"`
	Settings    SaveSettings `json:"settings"`
	Savers      []SaverAbout `json:"contenders"`
	Absent      []SaverAbout `json:"absent,omitempty"` // kinds of state that could not be had
	Cases       []SaveCase   `json:"cases"`
	Curves      []Curve      `json:"curves"`
	Goals       []Goal       `json:"goals"`
}

// SaveSettings are what was asked for, and what the state is like.
type SaveSettings struct {
	Quick   bool                 `json:"quick"`
	Size    int64                `json:"size"`   // bytes of the state of cases A to C
	Files   int                  `json:"files"`  // of case D
	Rounds  int                  `json:"rounds"` // at most
	Seed    uint64               `json:"seed"`
	Zstd    float64              `json:"zstd"` // size after zstd of the state, as a share
	S2      float64              `json:"s2"`   // and after S2
	Prices  *emulator.PriceTable `json:"prices"`
	Seconds float64              `json:"seconds"`
}

// SaverAbout says what a name stands for.
type SaverAbout struct {
	Name    string `json:"name"`
	About   string `json:"about"`
	Version string `json:"version,omitempty"`
	Absent  string `json:"absent,omitempty"` // why it was not measured
}

// SaveCase is one situation with the results of every contender.
type SaveCase struct {
	Verb    string       `json:"verb"` // save or restore
	Name    string       `json:"name"`
	About   string       `json:"about"`
	Delay   float64      `json:"delay_seconds"`   // added to every storage request
	Bytes   int64        `json:"bytes,omitempty"` // of the state, where it is not that of the settings
	Results []SaveResult `json:"results"`
}

// SaveResult is what one contender did in one case: every round, and the medians of the rounds, with the worst of Peak.
type SaveResult struct {
	Saver  string    `json:"contender"`
	Error  string    `json:"error,omitempty"`
	Median Measure   `json:"median"`
	Ratio  float64   `json:"ratio,omitempty"` // median over the rounds of its wall time over tidemark's in the same round
	Rounds []Measure `json:"rounds"`
}

// Measure is what one save or restore cost. Sizes are bytes, times seconds.
type Measure struct {
	Wall     float64 `json:"wall"` // of the whole process, from its start to its end; of the call alone for a process that goes on
	CPU      cpu     `json:"cpu"`
	Peak     int64   `json:"peak"`             // resident, of everything: allocated, program, mapped files
	Anon     int64   `json:"anon,omitempty"`   // at the end, of libraries only
	Mapped   int64   `json:"mapped,omitempty"` // at the end, of libraries only
	In       int64   `json:"in"`               // bodies that the store received
	Out      int64   `json:"out"`              // bodies that the store sent
	ClassA   int64   `json:"class_a"`
	ClassB   int64   `json:"class_b"`
	Free     int64   `json:"free"`
	Unbilled int64   `json:"unbilled"` // answered with an error, as a store does that is asked for what is not there
	Dollars  float64 `json:"dollars"`
	Server   cpu     `json:"server"`            // processor time of the store
	Handles  int64   `json:"handles,omitempty"` // bytes that workers handed to their coordinator
	Outcome  Outcome `json:"outcome"`

	Ops map[emulator.Op]int64 `json:"ops"`
}

// Requests are all that the store was asked, billed or not.
func (m *Measure) Requests() int64 { return m.ClassA + m.ClassB + m.Free + m.Unbilled }

// cpu is processor time in seconds.
type cpu struct {
	User   float64 `json:"user"`
	System float64 `json:"system"`
}

func (c cpu) minus(d cpu) cpu { return cpu{c.User - d.User, c.System - d.System} }
func (c cpu) total() float64  { return c.User + c.System }

// counted notes what the store saw.
func (m *Measure) counted(a serverAnswer) {
	c := a.Counts
	m.In, m.Out = c.BytesIn, c.BytesOut
	m.ClassA, m.ClassB, m.Free, m.Unbilled = c.ClassA, c.ClassB, c.Free, c.Unbilled
	m.Ops, m.Dollars, m.Server = c.ByOp, c.Cost(emulator.DefaultPrices), a.CPU
}

// summarise makes the figures of a result from those of its rounds. Counts are those of the round with the median wall time, so that they add up.
func (r *SaveResult) summarise() {
	if len(r.Rounds) == 0 {
		return
	}
	byWall := slices.SortedFunc(slices.Values(r.Rounds), func(a, b Measure) int { return cmp.Compare(a.Wall, b.Wall) })
	m := byWall[(len(byWall)-1)/2]
	of := func(f func(Measure) float64) float64 {
		var values []float64
		for _, x := range r.Rounds {
			values = append(values, f(x))
		}
		return median(values)
	}
	m.Wall = of(func(x Measure) float64 { return x.Wall })
	m.CPU.User = of(func(x Measure) float64 { return x.CPU.User })
	m.CPU.System = of(func(x Measure) float64 { return x.CPU.System })
	for _, x := range r.Rounds {
		m.Peak, m.Anon, m.Mapped = max(m.Peak, x.Peak), max(m.Anon, x.Anon), max(m.Mapped, x.Mapped)
	}
	r.Median = m
}

// compare fills in the ratios of a case.
func (c *SaveCase) compare() {
	own := c.of(subject)
	for i := range c.Results {
		c.Results[i].summarise()
	}
	for i := range c.Results {
		if own != nil && c.Results[i].Saver != subject {
			c.Results[i].Ratio = ratio(&c.Results[i], own)
		}
	}
}

// ratio is the median over the rounds that both have of a's wall time over b's.
func ratio(a, b *SaveResult) float64 {
	var ratios []float64
	for i := range min(len(a.Rounds), len(b.Rounds)) {
		if b.Rounds[i].Wall > 0 {
			ratios = append(ratios, a.Rounds[i].Wall/b.Rounds[i].Wall)
		}
	}
	if ratios == nil {
		return 0
	}
	return median(ratios)
}

// of is a contender's result; nil without one.
func (c *SaveCase) of(saver string) *SaveResult {
	for i := range c.Results {
		if c.Results[i].Saver == saver {
			return &c.Results[i]
		}
	}
	return nil
}
