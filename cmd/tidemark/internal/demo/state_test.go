package demo

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var testSchema = schema{Key: "k", Pair: "p", Numbers: []string{"n"}}

// testRecords are n records of a few keys, numbered from 1.
func testRecords(t *testing.T, n int) []record {
	t.Helper()
	records := make([]record, n)
	for i := range records {
		var err error
		message := fmt.Sprintf(`{"k":"key%d","p":"pair%d","n":%d.5}`, i%7, i%11, i-3)
		if records[i], err = testSchema.decode(uint64(i+1), []byte(message)); err != nil {
			t.Fatal(err)
		}
	}
	return records
}

func newState(t *testing.T, path string) *state {
	t.Helper()
	s, err := openState(path, testSchema)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func apply(t *testing.T, s *state, records []record) {
	t.Helper()
	for batch := range slices.Chunk(records, 10) {
		if err := s.apply(batch); err != nil {
			t.Fatal(err)
		}
	}
}

func dumpOf(t *testing.T, s *state) string {
	t.Helper()
	var b bytes.Buffer
	if _, err := s.dump(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A job that is stopped in the middle and goes on from its snapshot ends where one ends that was not.
func TestSnapshotAndRestore(t *testing.T) {
	records := testRecords(t, 2500)
	whole := newState(t, filepath.Join(t.TempDir(), "db"))
	apply(t, whole, records)

	first := newState(t, filepath.Join(t.TempDir(), "db"))
	apply(t, first, records[:1234])
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := first.copyTo(copied); err != nil {
		t.Fatal(err)
	}
	pairs := first.encodePairs()
	apply(t, first, records[1234:1300]) // lost by the kill

	second := newState(t, copied)
	if second.sequence != 1234 {
		t.Fatalf("the copy is of record %d", second.sequence)
	}
	if err := second.loadPairs(bytes.NewReader(pairs)); err != nil {
		t.Fatal(err)
	}
	apply(t, second, records[1234:])
	if got, want := dumpOf(t, second), dumpOf(t, whole); got != want {
		t.Errorf("states differ:\n%s\n%s", got, want)
	}
	var b bytes.Buffer
	sum, err := whole.dump(&b)
	if want := (summary{Sequence: 2500, Keys: 7, Windows: 21, Pairs: 77}); err != nil || sum != want {
		t.Errorf("summary %+v, %v; want %+v", sum, err, want)
	}
}

func TestStateRefusesGapsAndRepeats(t *testing.T) {
	records := testRecords(t, 10)
	s := newState(t, filepath.Join(t.TempDir(), "db"))
	apply(t, s, records[:5])
	before := dumpOf(t, s)
	for _, batch := range [][]record{records[4:6], records[6:8], {records[5], records[7]}} {
		if err := s.apply(batch); err == nil || !strings.Contains(err.Error(), "skipped or repeated") {
			t.Errorf("records from %d after 5: %v", batch[0].sequence, err)
		}
	}
	if got := dumpOf(t, s); got != before {
		t.Error("what was refused has changed the state")
	}
}

func TestTornCheckpointIsRefused(t *testing.T) {
	records := testRecords(t, 20)
	s := newState(t, filepath.Join(t.TempDir(), "db"))
	apply(t, s, records[:10])
	pairs := s.encodePairs()
	apply(t, s, records[10:])
	if err := s.loadPairs(bytes.NewReader(pairs)); err == nil || !strings.Contains(err.Error(), "torn") {
		t.Errorf("error %v", err)
	}
	whole := s.encodePairs()
	if err := s.loadPairs(bytes.NewReader(whole[:len(whole)-10])); err == nil {
		t.Error("half a map was accepted")
	}
}

// Whatever happens to one record shows in the state, even where counts and sums agree.
func TestDumpShowsLostDoubledAndSwappedRecords(t *testing.T) {
	records := testRecords(t, 100)
	renumbered := func(r []record) []record {
		r = slices.Clone(r)
		for i := range r {
			r[i].sequence = uint64(i + 1)
		}
		return r
	}
	dump := func(r []record) string {
		s := newState(t, filepath.Join(t.TempDir(), "db"))
		apply(t, s, renumbered(r))
		return dumpOf(t, s)
	}
	want := dump(records)
	if dump(records) != want {
		t.Fatal("the same records gave another dump")
	}
	swapped := slices.Clone(records)
	swapped[20], swapped[97] = swapped[97], swapped[20] // the same key, pair and window
	if swapped[20].key != swapped[97].key || swapped[20].pair != swapped[97].pair {
		t.Fatal("the test swaps records of different groups")
	}
	for name, r := range map[string][]record{
		"lost":             slices.Delete(slices.Clone(records), 50, 51),
		"doubled":          slices.Insert(slices.Clone(records), 50, records[50]),
		"swapped":          swapped,
		"one for another":  slices.Replace(slices.Clone(records), 20, 21, records[97]),
		"the last is lost": records[:99],
	} {
		if dump(r) == want {
			t.Errorf("%s: the dump is the same", name)
		}
	}
}

func TestAggregateSurvivesEncoding(t *testing.T) {
	a := newAggregate(1)
	for _, r := range testRecords(t, 3) {
		a.add(r)
	}
	b, err := decodeAggregate(a.encode(), 1)
	if err != nil || a.text(testSchema.Numbers) != b.text(testSchema.Numbers) {
		t.Errorf("%+v became %+v, %v", a, b, err)
	}
	if _, err := decodeAggregate(a.encode(), 2); err == nil {
		t.Error("an aggregate of one number was read as one of two")
	}
}
