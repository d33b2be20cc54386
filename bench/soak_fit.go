package bench

import (
	"slices"
)

const (
	// settling is the share of a run that is not fitted: caches, pools and buffers fill.
	settling = 0.2
	// slopeOver is what growth is stated for, and longEnough from when on a run tells of it. Of a shorter one, an episode may fill a good part: its growth is shown and not judged, and
	// what leaks is found when the stores are closed.
	slopeOver  = 3600.0
	longEnough = 1800.0
	// mayGrow is the share of the mean that growth may reach.
	mayGrow = 0.05
)

// SoakCurve is a line fitted to samples, and the bound that it was held against.
type SoakCurve struct {
	Name    string  `json:"name"`
	Unit    string  `json:"unit,omitempty"` // bytes, or nothing
	Mean    float64 `json:"mean"`
	Highest float64 `json:"highest"` // of all samples, those of the warm-up too
	PerHour float64 `json:"per_hour"`
	Over    float64 `json:"over_seconds"` // what growth is for: an hour, or the fitted part of a short run
	Growth  float64 `json:"growth"`
	Bound   float64 `json:"bound"` // zero: the run is too short for one
	Kept    bool    `json:"kept"`
}

const (
	// allocated is the curve whose height is bounded, too.
	allocated = "allocated (anonymous)"
	// programRoom is what docs/operations.md has a program take for itself. How much of it is resident depends on what else the system has in its cache.
	programRoom = 31 << 20
)

// soakCurves says what is watched. least is the growth that is allowed whatever the mean: below it is what collections and idle connections make of chance.
var soakCurves = []struct {
	name, unit string
	least      float64
	of         func(*SoakSample) float64
}{
	{"live heap", "bytes", 1 << 20, func(s *SoakSample) float64 { return float64(s.Heap) }},
	{"resident", "bytes", 4 << 20, func(s *SoakSample) float64 { return float64(s.RSS) }},
	{allocated, "bytes", 4 << 20, func(s *SoakSample) float64 { return float64(s.Anon) }},
	{"goroutines", "", 6, func(s *SoakSample) float64 { return float64(s.Goroutines) }},
	{"file descriptors", "", 4, func(s *SoakSample) float64 { return float64(s.Files) }},
	{"connections", "", 4, func(s *SoakSample) float64 { return float64(s.Connections) }},
}

// fitAll fits every curve of the samples.
func fitAll(samples []SoakSample, length float64) []SoakCurve {
	var curves []SoakCurve
	for _, c := range soakCurves {
		var points [][2]float64
		k := SoakCurve{Name: c.name, Unit: c.unit}
		for i := range samples {
			v := c.of(&samples[i])
			k.Highest = max(k.Highest, v)
			if samples[i].At >= settling*length && samples[i].At <= length {
				points = append(points, [2]float64{samples[i].At, v})
			}
		}
		k.fit(points, c.least)
		curves = append(curves, k)
	}
	return curves
}

// fit fits a line and holds it against the bound. Without samples no bound is kept.
func (k *SoakCurve) fit(points [][2]float64, least float64) {
	if len(points) < 2 {
		return
	}
	for _, p := range points {
		k.Mean += p[1] / float64(len(points))
	}
	slope := theilSen(points)
	k.PerHour = slope * 3600
	if k.Over = points[len(points)-1][0] - points[0][0]; k.Over < longEnough {
		k.Growth, k.Kept = slope*k.Over, true
		return
	}
	k.Over = slopeOver
	k.Growth = slope * k.Over
	k.Bound = max(mayGrow*k.Mean, least)
	k.Kept = k.Growth <= k.Bound
}

// theilSen is the median of the slopes between all pairs of points. Unlike least squares it does not follow a few outliers, such as the goroutines of a storm at
// one end of the run.
func theilSen(points [][2]float64) float64 {
	var slopes []float64
	for i, a := range points {
		for _, b := range points[i+1:] {
			if b[0] > a[0] {
				slopes = append(slopes, (b[1]-a[1])/(b[0]-a[0]))
			}
		}
	}
	if len(slopes) == 0 {
		return 0
	}
	slices.Sort(slopes)
	return (slopes[(len(slopes)-1)/2] + slopes[len(slopes)/2]) / 2
}
