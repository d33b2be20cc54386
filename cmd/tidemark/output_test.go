package main

import (
	"bytes"
	"testing"
	"time"
)

func TestHumanBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", 1: "1 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 1503238553: "1.4 GiB",
		5 << 40: "5.0 TiB", 1<<63 - 1: "8.0 EiB",
	} {
		if got := humanBytes(n); got != want {
			t.Errorf("humanBytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestHumanAgo(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for ago, want := range map[time.Duration]string{
		200 * time.Millisecond: "just now", 3500 * time.Millisecond: "3.5 s ago", 42 * time.Second: "42 s ago",
		3*time.Minute + 59*time.Second: "3 min ago", 26 * time.Hour: "26 h ago", 72 * time.Hour: "3 days ago",
		-10 * time.Second: "just now", -5 * time.Minute: "in 5 min",
	} {
		if got := humanAgo(now, now.Add(-ago)); got != want {
			t.Errorf("%v ago is %q, want %q", ago, got, want)
		}
	}
	if got := humanAgo(now, time.Time{}); got != "-" {
		t.Errorf("no time at all is %q", got)
	}
}

func TestHumanDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 ms", 42*time.Millisecond + 900*time.Microsecond: "42 ms", 1500 * time.Millisecond: "1.5 s", 59 * time.Second: "59 s",
		47*time.Hour + 59*time.Minute: "47 h",
	} {
		if got := humanDuration(d); got != want {
			t.Errorf("humanDuration(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestTableAligns(t *testing.T) {
	var out bytes.Buffer
	a := &app{out: &out}
	err := a.table([]string{"NAME", ">SIZE", "TAGS"}, [][]string{{"größe", "1 B", ""}, {"a", "1023 B", "x"}})
	want := "NAME     SIZE  TAGS\n" + "größe     1 B\n" + "a      1023 B  x\n"
	if err != nil || out.String() != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, out.String(), want)
	}
}

func TestDuration(t *testing.T) {
	day := 24 * time.Hour
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "36h": 36 * time.Hour, "7d": 7 * day, "2w": 14 * day, "1w2d12h": 9*day + 12*time.Hour,
		"1.5d": 36 * time.Hour, "0": 0, "-5s": -5 * time.Second,
	} {
		var d duration
		if err := d.Set(text); err != nil || time.Duration(d) != want {
			t.Errorf("Set(%q) = %v, %v; want %v", text, time.Duration(d), err, want)
		}
	}
	for _, text := range []string{"", "7", "d", "1d-5s", "2h1d", "1000000w", "106751d24h", "7 d", "NaNd"} {
		var d duration
		if err := d.Set(text); err == nil {
			t.Errorf("Set(%q) = %v, want an error", text, time.Duration(d))
		}
	}
}

func TestByteSize(t *testing.T) {
	for text, want := range map[string]byteSize{"17": 17, "17B": 17, "512MiB": 512 << 20, "1.5 GiB": 3 << 29, "2TiB": 2 << 40, "1KiB": 1024} {
		var s byteSize
		if err := s.Set(text); err != nil || s != want {
			t.Errorf("Set(%q) = %d, %v; want %d", text, s, err, want)
		}
	}
	for _, text := range []string{"", "-1", "MiB", "1MB", "1e9", "9999999TiB", "1 2"} {
		var s byteSize
		if err := s.Set(text); err == nil {
			t.Errorf("Set(%q) = %d, want an error", text, s)
		}
	}
}
