package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestEmbeddedRecordsAreTheDocumentedOnes(t *testing.T) {
	source, err := os.ReadFile("data/SOURCE.md")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(flights)
	if hash := hex.EncodeToString(sum[:]); !strings.Contains(string(source), hash) {
		t.Errorf("data/SOURCE.md does not name the file's SHA-256, %s", hash)
	}
	d, err := loadDataset("")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.records) != 20_000 {
		t.Errorf("%d records", len(d.records))
	}
	const first = `{"date":"2001/01/01 00:47","delay":66,"distance":1750,"origin":"DTW","destination":"LAS"}`
	if got := string(d.records[0]); got != first {
		t.Errorf("first record %s, want %s", got, first)
	}
}

func TestFormatsGiveTheSameRecords(t *testing.T) {
	want := []string{`{"name":"a, \"b\"","n":1,"x":""}`, `{"name":"c","n":-2.5,"x":"007"}`}
	for _, c := range []struct{ file, content string }{
		{"r.csv", "name,n,x\n\"a, \"\"b\"\"\",1,\nc,-2.5,007\n"},
		{"r.csv", "\ufeffname,n,x\r\n\"a, \"\"b\"\"\",1,\r\nc,-2.5,007"},
		{"no-extension", "name,n,x\n\"a, \"\"b\"\"\",1,\nc,-2.5,007\n"},
		{"r.jsonl", want[0] + "\n\n  " + want[1] + "\n"},
		{"no-extension", want[0] + "\r\n" + want[1]},
	} {
		d, err := parseDataset(c.file, []byte(c.content))
		if err != nil {
			t.Errorf("%s %q: %v", c.file, c.content, err)
			continue
		}
		var got []string
		for _, r := range d.records {
			got = append(got, string(r))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s %q: records %q, want %q", c.file, c.content, got, want)
		}
		if columns := []string{"name", "n", "x"}; !slices.Equal(d.columns, columns) {
			t.Errorf("%s %q: columns %q, want %q", c.file, c.content, d.columns, columns)
		}
	}
}

func TestBadInputNamesFileAndLine(t *testing.T) {
	for _, c := range []struct {
		file, content string
		line          int
		says          string
	}{
		{"r.csv", "", 0, "it is empty"},
		{"r.csv", "a,b\n", 0, "it has no records"},
		{"r.csv", "a,b\n1,2\n3\n", 3, "1 field where the header has 2"},
		{"r.csv", "a,b\n1,2\n\n3,4,5\n", 4, "3 fields where the header has 2"},
		{"r.csv", "a,b\n1,\"2\n", 2, `extraneous or missing " in quoted-field`},
		{"r.csv", "a,b\n1,2\"3\n", 2, `bare "`},
		{"r.csv", "a,b,a\n1,2,3\n", 1, `column "a" occurs twice`},
		{"r.csv", "a\n" + strings.Repeat("x", maxRecord) + "\n", 2, "the most is 262144"},
		{"r.jsonl", "{\"a\":1}\n{\"a\":\n", 2, "not a JSON object"},
		{"r.jsonl", "{\"a\":1}\n\n7\n", 3, "not a JSON object"},
		{"r.jsonl", "null\n", 1, "not a JSON object"},
		{"r.jsonl", "{}\n", 1, "no columns"},
		{"r.json", "[{\"a\":1}]", 0, "jq -c"},
	} {
		_, err := parseDataset(c.file, []byte(c.content))
		var input *InputError
		if !errors.As(err, &input) {
			t.Errorf("%.40q: error %v", c.content, err)
			continue
		}
		if input.File != c.file || input.Line != c.line || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.file) {
			t.Errorf("%.40q: file %q, line %d, %v; want line %d, %q", c.content, input.File, input.Line, err, c.line, c.says)
		}
		if input.Hint() == "" {
			t.Errorf("%.40q: no hint", c.content)
		}
	}
}

func TestFileThatCannotBeRead(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "records.csv")
	_, err := loadDataset(missing)
	if !errors.Is(err, os.ErrNotExist) || strings.Count(err.Error(), missing) != 1 {
		t.Errorf("error %v", err)
	}
	large := filepath.Join(t.TempDir(), "records.csv")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxInput+1); err != nil {
		t.Fatal(err)
	}
	if _, err := loadDataset(large); err == nil || !strings.Contains(err.Error(), "larger than 32 MiB") {
		t.Errorf("error %v", err)
	}
}
