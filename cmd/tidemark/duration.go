package main

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"time"
)

// duration is a flag's value: what time.ParseDuration takes, and days and weeks in front of it (2w, 1d12h).
type duration time.Duration

var daysAndWeeks = regexp.MustCompile(`^([0-9]+(?:\.[0-9]+)?)([dw])`)

func (d *duration) Set(s string) error {
	var total time.Duration
	rest := s
	for {
		m := daysAndWeeks.FindStringSubmatch(rest)
		if m == nil {
			break
		}
		n, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return err
		}
		unit := 24 * time.Hour
		if m[2] == "w" {
			unit *= 7
		}
		if n*float64(unit)+float64(total) >= math.MaxInt64 {
			return fmt.Errorf("%s is longer than can be counted", s)
		}
		total += time.Duration(n * float64(unit))
		rest = rest[len(m[0]):]
	}
	if rest != "" || s == "" {
		tail, err := time.ParseDuration(rest)
		if err != nil || (tail < 0 && rest != s) {
			return fmt.Errorf("%q is not a duration such as 90s, 36h, 7d or 2w", s)
		}
		if tail > math.MaxInt64-total {
			return fmt.Errorf("%s is longer than can be counted", s)
		}
		total += tail
	}
	*d = duration(total)
	return nil
}

// String is empty for zero, so that help shows no default where there is none.
func (d *duration) String() string {
	if *d == 0 {
		return ""
	}
	return time.Duration(*d).String()
}

func (d *duration) Type() string { return "duration" }
