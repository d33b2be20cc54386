package bench

import "time"

// Report is the outcome of [Run].
type Report struct {
	Environment Environment      `json:"environment"`
	Settings    Settings         `json:"settings"`
	Contenders  []ContenderAbout `json:"contenders"`
	Cases       []CaseReport     `json:"cases"`
}

// Settings are what was asked for.
type Settings struct {
	Quick    bool    `json:"quick"`
	RealTime bool    `json:"real_time"`
	Repeat   int     `json:"repeat"` // 0: each case's own
	Seconds  float64 `json:"seconds"`
}

// ContenderAbout says what a name stands for.
type ContenderAbout struct {
	Name  string `json:"name"`
	About string `json:"about"`
}

// CaseReport is one case with the results of every contender.
type CaseReport struct {
	Name    string   `json:"name"`
	About   string   `json:"about"`
	Kind    Kind     `json:"kind"`
	Goal    string   `json:"goal,omitempty"`    // what is asked of this project's cache
	Reached *bool    `json:"reached,omitempty"` // whether it did; absent without a goal or a result
	Results []Result `json:"results"`
}

// Result is what one contender did in one case. Of several rounds, a hot case gives the median and the best; another
// case the worst of each figure. Fields that a case does not measure are absent.
type Result struct {
	Contender   string   `json:"contender"`
	Rounds      int      `json:"rounds"`
	Error       string   `json:"error,omitempty"` // the case could not be run
	Fetches     *int     `json:"fetches,omitempty"`
	Meanwhile   *int     `json:"fetches_meanwhile,omitempty"` // of these, the ones that came while the server was in trouble
	Connections *int     `json:"connections,omitempty"`
	Calls       *int     `json:"calls,omitempty"`
	Errors      *int     `json:"errors,omitempty"`
	Late        *int     `json:"late,omitempty"`            // callers held for more than 20 ms past their own deadline
	Overrun     *float64 `json:"overrun_seconds,omitempty"` // the longest of these
	Latency     *Latency `json:"latency,omitempty"`

	NsPerOp     *float64 `json:"ns_per_op,omitempty"`
	BestNsPerOp *float64 `json:"best_ns_per_op,omitempty"`
	AllocsPerOp *float64 `json:"allocs_per_op,omitempty"`
	BytesPerOp  *float64 `json:"bytes_per_op,omitempty"`

	Sidecar *SidecarFigures `json:"sidecar,omitempty"`

	Dark      *float64 `json:"dark_seconds,omitempty"`      // in which no call succeeded, beyond 0.25 s at a time
	Refreshed *float64 `json:"refreshed_seconds,omitempty"` // from the server's recovery to the first call with a new token
	Unrenewed bool     `json:"unrenewed,omitempty"`         // there was none before the case ended
	LastError string   `json:"last_error,omitempty"`        // that a caller saw
	Timeline  *Lane    `json:"timeline,omitempty"`          // of the last round
}

// span is a stretch of time.
type span [2]float64

// Lane is what happened when, in seconds from the moment the case's trouble began.
type Lane struct {
	From    float64   `json:"from"`
	To      float64   `json:"to"`
	Trouble span      `json:"trouble"`
	Fetches []float64 `json:"fetches"` // thinned to at most 500
	Dark    []span    `json:"dark"`
	Renewed *float64  `json:"renewed,omitempty"` // when the first call got a new token
}

// laneFetches bounds the marks of a lane: a storm is as black with 500.
const laneFetches = 500

// lane draws what happened around origin.
func lane(origin, from, to time.Time, trouble time.Duration, fetches []time.Time, dark [][2]time.Time, renewed time.Time) *Lane {
	at := func(t time.Time) float64 { return t.Sub(origin).Seconds() }
	l := &Lane{From: at(from), To: at(to), Trouble: span{0, trouble.Seconds()}, Fetches: []float64{}, Dark: []span{}}
	step := max(1, (len(fetches)+laneFetches-1)/laneFetches)
	for i := 0; i < len(fetches); i += step {
		if !fetches[i].Before(from) {
			l.Fetches = append(l.Fetches, at(fetches[i]))
		}
	}
	for _, d := range dark {
		l.Dark = append(l.Dark, span{at(d[0]), at(d[1])})
	}
	if !renewed.IsZero() {
		r := at(renewed)
		l.Renewed = &r
	}
	return l
}
