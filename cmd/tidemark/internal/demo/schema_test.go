package demo

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestSchemaChoosesColumns(t *testing.T) {
	for _, c := range []struct {
		name, csv string
		want      schema
	}{
		{"texts group, dates are windows, numbers are summed", "at,n,from,to\n2001-01-01T00:00Z,1,a,x\n2001-01-01T00:01Z,2,a,y\n2001-01-02T00:00Z,3,b,x\n2001-01-02T00:00Z,4,b,y\n",
			schema{Key: "from", Pair: "to", Date: "at", Numbers: []string{"n"}}},
		{"a text that never repeats groups nothing", "id,kind\nu1,a\nu2,b\nu3,a\nu4,b\n", schema{Key: "kind"}},
		{"a text that never changes neither", "app,kind\nz,a\nz,b\nz,a\nz,b\n", schema{Key: "kind"}},
		{"without a text, a number groups", "user,amount\n1,10\n1,20\n2,30\n2,40\n", schema{Key: "user", Numbers: []string{"amount"}}},
		{"without anything, the first column does", "a,b\nx,x1\n", schema{Key: "a"}},
		{"an empty value says nothing about a column", "k,n\na,\nb,1\na,2\nb,3\n", schema{Key: "k", Numbers: []string{"n"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := parseDataset("r.csv", []byte(c.csv))
			if err != nil {
				t.Fatal(err)
			}
			got, err := schemaOf(d)
			if err != nil || !reflect.DeepEqual(got, c.want) {
				t.Errorf("schema %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestSchemaOfTheEmbeddedRecords(t *testing.T) {
	d, err := loadDataset("")
	if err != nil {
		t.Fatal(err)
	}
	got, err := schemaOf(d)
	want := schema{Key: "origin", Pair: "destination", Date: "date", Numbers: []string{"delay", "distance"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("schema %+v, %v; want %+v", got, err, want)
	}
}

func TestDecode(t *testing.T) {
	s := schema{Key: "from", Pair: "to", Date: "at", Numbers: []string{"n", "m"}}
	r, err := s.decode(7, []byte(`{"at":"2001/01/31 10:00","from":"DTW","to":null,"n":-2.5,"m":"many"}`))
	if err != nil {
		t.Fatal(err)
	}
	if r.sequence != 7 || r.key != "DTW" || r.window != "2001/01/31" || r.pair != "DTW > (none)" || r.numbers[0] != -2.5 || !math.IsNaN(r.numbers[1]) {
		t.Errorf("record %+v", r)
	}
	other, err := s.decode(7, []byte(`{"at":"2001/01/31 10:00","from":"DTW","to":null,"n":-2.5,"m":"more"}`))
	if err != nil || other.hash == r.hash {
		t.Errorf("another record has the same hash, or error %v", err)
	}
	if _, err := s.decode(8, []byte(`{`)); err == nil || !strings.Contains(err.Error(), "record 8") {
		t.Errorf("error %v", err)
	}

	undated := schema{Key: "k"}
	for sequence, want := range map[uint64]string{1: "block 000000", blockSize: "block 000000", blockSize + 1: "block 000001"} {
		if r, err := undated.decode(sequence, []byte(`{"k":"a"}`)); err != nil || r.window != want {
			t.Errorf("record %d: window %q, %v; want %q", sequence, r.window, err, want)
		}
	}
}

func TestLongValuesStayDifferentNames(t *testing.T) {
	long := strings.Repeat("x", 40_000)
	a, b := nameOf(long+"a"), nameOf(long+"b")
	if a == b || len(a) > maxName+32 {
		t.Errorf("names of %d and %d bytes, equal: %t", len(a), len(b), a == b)
	}
}
