package demo

import (
	"bytes"
	_ "embed"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// maxInput bounds the file, which is held in memory and published whole.
	maxInput = 32 << 20
	// maxRecord keeps a record well below the broker's limit of 1 MiB for a message.
	maxRecord = 256 << 10
)

//go:embed data/flights-20k.csv
var flights []byte

// dataset is a file of records, as they are published: one JSON object each.
type dataset struct {
	name    string // of the file
	about   string // what it holds, for people; "" if unknown
	columns []string
	records [][]byte
}

// InputError is something wrong with the file of records.
type InputError struct {
	File string
	Line int // from 1; 0 if it is not about a line
	Err  error
}

func (e *InputError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("read records from %s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("read records from %s, line %d: %v", e.File, e.Line, e.Err)
}

func (e *InputError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *InputError) Hint() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return "check the path of --input"
	}
	return "--input takes CSV with a header line, or JSON lines: one object per line"
}

// loadDataset reads the records of a file, or of the embedded one if path is empty.
func loadDataset(path string) (*dataset, error) {
	if path == "" {
		d, err := parseDataset("flights-20k.csv", flights)
		if err != nil {
			return nil, err
		}
		d.about = "flights in the United States, January to March 2001 (U.S. DOT, Bureau of Transportation Statistics)"
		return d, nil
	}
	content, err := readInput(path)
	if err != nil {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err // the name is said once
		}
		return nil, &InputError{File: path, Err: err}
	}
	return parseDataset(path, content)
}

func readInput(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	var content []byte
	if info.Size() <= maxInput { // a pipe says nothing of its size
		if content, err = io.ReadAll(io.LimitReader(f, maxInput+1)); err != nil {
			return nil, err
		}
	}
	if max(info.Size(), int64(len(content))) > maxInput {
		return nil, fmt.Errorf("larger than %d MiB, which is the most that the demo publishes; take a part of it", maxInput>>20)
	}
	return content, nil
}

// parseDataset tells CSV from JSON lines by the name, or else by the first character.
func parseDataset(path string, content []byte) (*dataset, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	d := &dataset{name: filepath.Base(path)}
	start := bytes.TrimSpace(content)
	if len(start) == 0 {
		return nil, &InputError{File: path, Err: errors.New("it is empty")}
	}
	var parse func([]byte) (line int, err error)
	switch ext := strings.ToLower(filepath.Ext(path)); {
	case ext == ".csv":
		parse = d.parseCSV
	case start[0] == '[':
		return nil, &InputError{File: path, Err: errors.New("a JSON array, not JSON lines; `jq -c '.[]' FILE` makes lines of it")}
	case ext == ".json", ext == ".jsonl", ext == ".ndjson", start[0] == '{':
		parse = d.parseLines
	default:
		parse = d.parseCSV
	}
	if line, err := parse(content); err != nil {
		return nil, &InputError{File: path, Line: line, Err: err}
	}
	if len(d.records) == 0 {
		return nil, &InputError{File: path, Err: errors.New("it has no records")}
	}
	return d, nil
}

func (d *dataset) parseCSV(content []byte) (line int, err error) {
	r := csv.NewReader(bytes.NewReader(content))
	r.ReuseRecord = true
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return 0, nil
		}
		var syntax *csv.ParseError
		switch {
		case errors.As(err, &syntax) && errors.Is(err, csv.ErrFieldCount):
			return syntax.Line, fmt.Errorf("%s where the header has %d", counted(len(row), "field"), len(d.columns))
		case errors.As(err, &syntax):
			return syntax.Line, syntax.Err
		case err != nil:
			return 0, err
		}
		line, _ := r.FieldPos(0)
		if d.columns == nil {
			if err := d.setColumns(slices.Clone(row)); err != nil {
				return line, err
			}
			continue
		}
		if err := d.add(objectOf(d.columns, row)); err != nil {
			return line, err
		}
	}
}

func (d *dataset) parseLines(content []byte) (line int, err error) {
	for text := range bytes.Lines(content) {
		line++
		text = bytes.TrimSpace(text)
		if len(text) == 0 {
			continue
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(text, &object); err != nil {
			return line, fmt.Errorf("not a JSON object: %w", err)
		}
		if object == nil {
			return line, errors.New("not a JSON object: null")
		}
		if d.columns == nil {
			if err := d.setColumns(keysInOrder(text)); err != nil {
				return line, err
			}
		}
		if err := d.add(text); err != nil {
			return line, err
		}
	}
	return 0, nil
}

func (d *dataset) setColumns(names []string) error {
	if len(names) == 0 {
		return errors.New("no columns")
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("column %q occurs twice", name)
		}
	}
	d.columns = names
	return nil
}

func (d *dataset) add(record []byte) error {
	if len(record) > maxRecord {
		return fmt.Errorf("a record of %d bytes; the most is %d", len(record), maxRecord)
	}
	d.records = append(d.records, record)
	return nil
}

// objectOf makes a CSV row the JSON object that JSON lines would have.
func objectOf(columns, row []string) []byte {
	b := []byte{'{'}
	for i, value := range row {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, columns[i])
		b = append(b, ':')
		if isNumber(value) {
			b = append(b, value...)
		} else {
			b = appendString(b, value)
		}
	}
	return append(b, '}')
}

func appendString(b []byte, s string) []byte {
	quoted, _ := json.Marshal(s) // a string always encodes
	return append(b, quoted...)
}

func isNumber(s string) bool {
	return s != "" && (s[0] == '-' || s[0] >= '0' && s[0] <= '9') && json.Valid([]byte(s))
}

// keysInOrder lists the names in an object that is known to be well-formed.
func keysInOrder(object []byte) []string {
	var names []string
	dec := json.NewDecoder(bytes.NewReader(object))
	_, _ = dec.Token() // {
	for dec.More() {
		name, _ := dec.Token()
		names = append(names, fmt.Sprint(name))
		var value json.RawMessage
		_ = dec.Decode(&value)
	}
	return names
}
