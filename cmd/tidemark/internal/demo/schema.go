package demo

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
)

const (
	// blockSize is how many records share a window where no column holds a date.
	blockSize = 1000
	// maxNumbers bounds the columns that are summed, so that aggregates stay small next to their keys.
	maxNumbers = 8
	// maxName is how much of a value names a group; a database key has to be bounded.
	maxName = 200
	// manyValues is where counting the distinct values of a column ends: it groups nothing.
	manyValues = 100_000
)

// schema says what the job makes of the columns.
type schema struct {
	Key     string   `json:"key"`            // groups the records
	Pair    string   `json:"pair,omitempty"` // with Key: the groups of the map
	Date    string   `json:"date,omitempty"` // its first ten characters are the window; without it, blocks of records are
	Numbers []string `json:"numbers,omitempty"`
}

// column is what schemaOf learns about one column.
type column struct {
	name          string
	numeric, date bool
	distinct      map[string]struct{}
}

// schemaOf chooses: Key is the first column that groups the records and is neither number nor date, Pair the next one. Where there is
// none, numbers will do, and at last the first column.
func schemaOf(d *dataset) (schema, error) {
	columns := make([]*column, len(d.columns))
	for i, name := range d.columns {
		columns[i] = &column{name: name, numeric: true, date: true, distinct: map[string]struct{}{}}
	}
	for _, raw := range d.records {
		values, err := valuesOf(raw)
		if err != nil {
			return schema{}, err
		}
		for _, c := range columns {
			c.see(values[c.name])
		}
	}
	var s schema
	groups := func(c *column) bool {
		return c.name != s.Key && len(c.distinct) >= 2 && len(c.distinct) <= max(2, len(d.records)/2)
	}
	choose := func(suits func(*column) bool) string {
		for _, c := range columns {
			if groups(c) && suits(c) {
				return c.name
			}
		}
		return ""
	}
	text := func(c *column) bool { return !c.numeric && !c.date }
	number := func(c *column) bool { return c.numeric }
	for _, name := range []string{choose(text), choose(number), columns[0].name} {
		if name != "" {
			s.Key = name
			break
		}
	}
	s.Pair = choose(text)
	for _, c := range columns {
		switch {
		case c.name == s.Key || c.name == s.Pair:
		case c.date && s.Date == "":
			s.Date = c.name
		case c.numeric && len(s.Numbers) < maxNumbers:
			s.Numbers = append(s.Numbers, c.name)
		}
	}
	return s, nil
}

func (c *column) see(value string) {
	if value == "" {
		return
	}
	if len(c.distinct) < manyValues {
		c.distinct[value] = struct{}{}
	}
	c.numeric = c.numeric && isNumber(value)
	c.date = c.date && isDate(value)
}

// isDate recognises what starts with a day, like 2001/01/31 00:47 or 2001-01-31T00:47Z.
func isDate(s string) bool {
	if len(s) < len("2001-01-31") || s[4] != s[7] || !strings.ContainsRune("-/.", rune(s[4])) {
		return false
	}
	_, err := strconv.ParseUint(s[:4]+s[5:7]+s[8:10], 10, 64)
	return err == nil
}

// String says what the job computes.
func (s schema) String() string {
	by := s.Key
	if s.Date != "" {
		by += " and day"
	} else {
		by += fmt.Sprintf(" and block of %d records", blockSize)
	}
	text := "counts, an order-dependent hash"
	if len(s.Numbers) > 0 {
		text += ", sums and maxima of " + strings.Join(s.Numbers, ", ")
	}
	return text + " by " + by
}

// record is one message as the job sees it.
type record struct {
	sequence uint64
	hash     uint64 // of the message's bytes
	key      string
	window   string
	pair     string
	numbers  []float64 // in the order of schema.Numbers; NaN where there is none
}

func (s schema) decode(sequence uint64, message []byte) (record, error) {
	values, err := valuesOf(message)
	if err != nil {
		return record{}, fmt.Errorf("record %d: %w", sequence, err)
	}
	h := fnv.New64a()
	_, _ = h.Write(message) // never fails
	r := record{sequence: sequence, hash: h.Sum64(), key: nameOf(values[s.Key]), numbers: make([]float64, len(s.Numbers))}
	r.pair = r.key
	if s.Pair != "" {
		r.pair += " > " + nameOf(values[s.Pair])
	}
	if date := values[s.Date]; s.Date != "" && len(date) >= 10 {
		r.window = date[:10]
	} else {
		r.window = fmt.Sprintf("block %06d", (sequence-1)/blockSize)
	}
	for i, name := range s.Numbers {
		r.numbers[i] = math.NaN()
		if v, err := strconv.ParseFloat(values[name], 64); err == nil {
			r.numbers[i] = v
		}
	}
	return r, nil
}

// nameOf makes a value the name of a group.
func nameOf(value string) string {
	switch {
	case value == "":
		return "(none)"
	case len(value) > maxName:
		h := fnv.New64a()
		_, _ = h.Write([]byte(value))
		return fmt.Sprintf("%s… %016x", strings.ToValidUTF8(value[:maxName], ""), h.Sum64())
	}
	return value
}

// valuesOf gives the values of a JSON object as text: strings without quotes, null as nothing, everything else as it is written.
func valuesOf(object []byte) (map[string]string, error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(object, &raw); err != nil {
		return nil, err
	}
	values := make(map[string]string, len(raw))
	for name, v := range raw {
		text := string(v)
		switch {
		case text == "null":
			text = ""
		case text[0] == '"':
			if err := json.Unmarshal(v, &text); err != nil {
				return nil, err
			}
		}
		values[name] = text
	}
	return values, nil
}
