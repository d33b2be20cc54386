package bench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sampleReport has everything that a report can have, and names that would break a page.
func sampleReport() *Report {
	n := func(i int) *int { return &i }
	f := func(x float64) *float64 { return &x }
	yes, no := true, false
	return &Report{
		Environment: Environment{
			Go: "go1.26.0", OS: "linux", Arch: "amd64", Kernel: "6.1", CPU: "Some CPU <x>", Cores: 2, GOMAXPROCS: 2,
			LoadBefore: "0.10 0.20 0.30", LoadAfter: "1.00 0.50 0.30", Revision: "abc", Modified: true,
		},
		Settings:   Settings{Repeat: 2, Seconds: 12.5},
		Contenders: []ContenderAbout{{"tidemark", "ours"}, {"other", "a <b>&\"c\""}},
		Cases: []CaseReport{
			{Name: "hot-1", About: "one caller", Kind: Hot, Goal: "≤ 2.5 ns", Reached: &yes, Results: []Result{
				{Contender: "tidemark", Rounds: 2, NsPerOp: f(1.3), BestNsPerOp: f(1.25), AllocsPerOp: f(0), BytesPerOp: f(0)},
				{Contender: "other", Rounds: 2, NsPerOp: f(1234), BestNsPerOp: f(56.7), AllocsPerOp: f(7), BytesPerOp: f(1008)},
			}},
			{Name: "cold", About: "a crowd", Kind: Wait, Goal: "1 fetch", Reached: &no, Results: []Result{
				{Contender: "tidemark", Rounds: 2, Fetches: n(1), Connections: n(1), Calls: n(1000), Errors: n(0), Late: n(0), Overrun: f(0),
					Latency: &Latency{0.18, 0.181, 0.1815, 0.182}},
				{Contender: "other", Rounds: 2, Error: "it did\nnot <work>"},
			}},
			{Name: "outage-503", About: "an outage", Kind: Episode, Results: []Result{
				{Contender: "tidemark", Rounds: 2, Fetches: n(2), Meanwhile: n(1), Connections: n(2), Calls: n(800), Errors: n(0),
					Latency: &Latency{52e-9, 900e-9, 1.2e-6, 3e-6}, Dark: f(0), Refreshed: f(1.25),
					Timeline: &Lane{From: -0.5, To: 8, Trouble: span{0, 6}, Fetches: []float64{0, 5.5, 7}, Dark: []span{}, Renewed: f(7.1)}},
				{Contender: "other", Rounds: 2, Fetches: n(800), Connections: n(1), Calls: n(900), Errors: n(700), LastError: "503 <no>",
					Latency: &Latency{0.0012, 0.5, 6, 1500}, Dark: f(6), Unrenewed: true,
					Timeline: &Lane{From: -0.5, To: 8, Trouble: span{0, 6}, Fetches: []float64{0, 1}, Dark: []span{{0, 6}}}},
			}},
		},
	}
}

func TestGolden(t *testing.T) {
	for name, write := range map[string]func(*Report, io.Writer) error{
		"report.json": (*Report).WriteJSON, "report.txt": (*Report).WriteText,
	} {
		var got bytes.Buffer
		if err := write(sampleReport(), &got); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name)
		if *update {
			if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s is\n%s\nwant (go test -update writes it)\n%s", name, &got, want)
		}
	}
}

func TestJSONKeepsEverything(t *testing.T) {
	var text bytes.Buffer
	if err := sampleReport().WriteJSON(&text); err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(text.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&back, sampleReport()) {
		t.Errorf("%+v", back)
	}
}

func TestPage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.html")
	if err := sampleReport().WriteHTMLFile(file); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := string(page)
	for _, want := range []string{"prefers-color-scheme: dark", "Some CPU &lt;x&gt;", "a &lt;b&gt;", "goal missed", "503 &lt;no&gt;"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if m := regexp.MustCompile(`(?i)(src|href)=|url\(|@import|<script`).FindString(text); m != "" {
		t.Errorf("the page needs something else: %s", m)
	}
	svgs := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(text, -1)
	if len(svgs) != 4 { // one for each of hot and cold, two for the outage
		t.Errorf("%d plots", len(svgs))
	}
	for _, svg := range svgs {
		checkSVG(t, svg)
		if strings.Contains(svg, ">-0 s<") {
			t.Error("an axis has a negative zero")
		}
	}
}

// checkSVG reads a plot as XML and looks for numbers that are none and marks outside the picture.
func checkSVG(t *testing.T, svg string) {
	t.Helper()
	for dec := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		el, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		for _, a := range el.Attr {
			if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
				t.Errorf("%s of %s is %s", a.Name.Local, el.Name.Local, a.Value)
			}
			if a.Name.Local == "height" && strings.HasPrefix(a.Value, "-") || a.Name.Local == "width" && strings.HasPrefix(a.Value, "-") {
				t.Errorf("%s of %s is %s", a.Name.Local, el.Name.Local, a.Value)
			}
		}
	}
}

func TestScales(t *testing.T) {
	if s := decades([]float64{0, 0.3, 45}); s.from != 0.1 || s.to != 100 || len(s.ticks()) != 4 {
		t.Errorf("%+v with ticks %v", s, s.ticks())
	}
	if s := decades([]float64{10}); s.from != 10 || s.to != 100 {
		t.Errorf("%+v", s)
	}
	if s := decades([]float64{0}); s.from >= s.to {
		t.Errorf("%+v", s)
	}
	s := scale{from: -0.5, to: 8}
	if s.at(-0.5) != gutter || s.at(8) != plotWidth-margin || s.at(100) != plotWidth-margin {
		t.Errorf("ends at %v and %v", s.at(-0.5), s.at(8))
	}
	for _, s := range []scale{{from: -0.5, to: 8}, {from: -0.5, to: 960}, {from: 0, to: 1}, {from: 0, to: 99}} {
		if n := len(s.ticks()); n < 3 || n > 12 {
			t.Errorf("%+v has %d ticks", s, n)
		}
	}
}

func TestFigures(t *testing.T) {
	for want, value := range map[string]float64{
		"0": 0, "52 ns": 52e-9, "1 µs": 999.9e-9, "900 ns": 900e-9, "1.2 µs": 1.2e-6, "181 ms": 0.181, "1 s": 0.9999, "2.5 s": 2.5, "1200 s": 1200,
	} {
		if got := seconds(&value); got != want {
			t.Errorf("%v is %q, want %q", value, got, want)
		}
	}
	for want, value := range map[string]float64{"0.27": 0.27, "89.9": 89.9, "1234": 1234} {
		if got := nanos(&value); got != want {
			t.Errorf("%v is %q, want %q", value, got, want)
		}
	}
	if seconds(nil)+nanos(nil)+count(nil)+whole(nil) != "" {
		t.Error("what was not measured is printed")
	}
}

func TestLanesAreThinned(t *testing.T) {
	asked := make([]time.Time, 10_001)
	for i := range asked {
		asked[i] = at(i)
	}
	l := lane(at(0), at(-500), at(10_000), time.Second, asked, nil, time.Time{})
	if len(l.Fetches) > laneFetches || len(l.Fetches) < laneFetches/2 || l.From != -0.5 || l.To != 10 || l.Renewed != nil {
		t.Errorf("%d marks from %v to %v", len(l.Fetches), l.From, l.To)
	}
}
