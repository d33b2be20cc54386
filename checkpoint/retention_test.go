package checkpoint

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/internal/format"
)

// history is a HEAD with a checkpoint at each of the given times.
func history(times ...time.Time) *format.Head {
	h := new(format.Head)
	for i, at := range times {
		h.Retained = append(h.Retained, &format.Retained{Id: &format.CheckpointID{Epoch: 1, Checkpoint: uint64(i + 1)}, CommittedAtNs: at.UnixNano()})
	}
	return h
}

func keptOf(h *format.Head) (ids []uint64) {
	for _, r := range h.Retained {
		ids = append(ids, r.Id.Checkpoint)
	}
	return ids
}

func TestRetentionByCalendar(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.Parse("2006-01-02 15:04", text)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	times := []time.Time{
		at("2026-01-04 12:00"), // 1: a Sunday
		at("2026-01-05 00:00"), // 2: Monday begins
		at("2026-01-05 00:59"), // 3
		at("2026-01-05 01:00"), // 4
		at("2026-01-11 23:59"), // 5: the same week's Sunday
		at("2026-01-12 00:00"), // 6
		at("2026-03-01 08:10"), // 7: after a pause
		at("2026-03-01 08:50"), // 8
		at("2026-03-01 09:05"), // 9
	}
	now := at("2026-03-01 09:06")
	for _, tt := range []struct {
		policy Retention
		want   []uint64
	}{
		{Retention{KeepHourly: 1}, []uint64{9}},
		{Retention{KeepHourly: 3}, []uint64{6, 8, 9}}, // hours without a checkpoint do not count
		{Retention{KeepHourly: 6}, []uint64{3, 4, 5, 6, 8, 9}},
		{Retention{KeepDaily: 2}, []uint64{6, 9}},
		{Retention{KeepDaily: 4}, []uint64{4, 5, 6, 9}},
		{Retention{KeepWeekly: 3}, []uint64{5, 6, 9}},
		{Retention{KeepWeekly: 4}, []uint64{1, 5, 6, 9}},
		{Retention{KeepWeekly: 100}, []uint64{1, 5, 6, 9}},
		{Retention{KeepHourly: 2, KeepDaily: 2, KeepLast: 1}, []uint64{6, 8, 9}},
		{Retention{KeepLast: 3, KeepWeekly: 3}, []uint64{5, 6, 7, 8, 9}},
		{Retention{KeepWithin: 20 * time.Minute, KeepDaily: 2}, []uint64{6, 8, 9}},
	} {
		h := history(times...)
		h.Pins = []*format.Pin{{Kind: format.Pin_TAG, Checkpoint: 2}}
		retired := tt.policy.trim(h, now, nil)
		want := append([]uint64{2}, tt.want...) // it is tagged
		slices.Sort(want)
		if got := keptOf(h); !slices.Equal(got, want) || len(retired)+len(got) != len(times) {
			t.Errorf("%+v keeps %v and retires %d, want %v", tt.policy, got, len(retired), want)
		}
	}
}

// A checkpoint every 5 minutes for a quarter, trimmed after each: what is kept does not depend on how often that happened, and stays small.
func TestRetentionOverAQuarter(t *testing.T) {
	policy := Retention{KeepLast: 12, KeepHourly: 24, KeepDaily: 14, KeepWeekly: 8}
	start := time.Date(2026, time.January, 1, 0, 3, 0, 0, time.UTC)
	often, all := history(), []time.Time{}
	most := 0
	for i := range 91 * 288 {
		at := start.Add(time.Duration(i) * 5 * time.Minute)
		all = append(all, at)
		often.Retained = append(often.Retained, history(all[i:]...).Retained...)
		often.Retained[len(often.Retained)-1].Id.Checkpoint = uint64(i + 1)
		policy.trim(often, at, nil)
		most = max(most, len(often.Retained))
	}
	once := history(all...)
	policy.trim(once, all[len(all)-1], nil)
	if got, want := keptOf(often), keptOf(once); !slices.Equal(got, want) {
		t.Errorf("trimmed each time, %v are kept; trimmed once, %v", got, want)
	}
	if most > 12+24+14+8+1 {
		t.Errorf("%d checkpoints were retained at once", most)
	}
}

// A clock that jumps costs no checkpoint that a steady one would have kept.
func TestRetentionWithClocksThatJump(t *testing.T) {
	start := time.Date(2026, time.May, 1, 12, 0, 0, 0, time.UTC)
	var times []time.Time
	for i := range 10 {
		times = append(times, start.AddDate(0, 0, i))
	}
	for name, odd := range map[string]time.Time{"back": time.Unix(0, 0), "long before that": time.Unix(-1e9, 0), "ahead": start.AddDate(50, 0, 0)} {
		h := history(slices.Insert(slices.Clone(times), 5, odd)...)
		Retention{KeepDaily: 9}.trim(h, times[9], nil)
		if got := fmt.Sprint(keptOf(h)); got != "[3 4 5 6 7 8 9 10 11]" {
			t.Errorf("%s: %s are kept", name, got)
		}
	}
}
