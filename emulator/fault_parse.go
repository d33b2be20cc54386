package emulator

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ParseFaults reads rules from JSON: an array of Fault. It is strict: an unknown field, a field that the effect does
// not take, or a value out of range is an error that names it.
func ParseFaults(data []byte) ([]Fault, error) {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("emulator: faults must be a JSON array of rules: %w", err)
	}
	faults := make([]Fault, len(raw))
	for i, one := range raw {
		if err := strict(one, &faults[i]); err != nil {
			return nil, fmt.Errorf("emulator: fault %d: %w", i+1, err)
		}
		if _, err := compile(faults[i]); err != nil {
			return nil, fmt.Errorf("emulator: fault %d: %w", i+1, err)
		}
	}
	return faults, nil
}

func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// duration is a time.Duration that is text in JSON.
type duration time.Duration

func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = duration(v)
	return err
}

// The JSON forms shadow the fields that are durations.
type (
	plainMatch Match
	plainThen  Then
	jsonMatch  struct {
		*plainMatch
		After duration `json:"after,omitempty"`
		Until duration `json:"until,omitempty"`
	}
	jsonThen struct {
		*plainThen
		RetryAfter duration `json:"retry_after,omitempty"`
		For        duration `json:"for,omitempty"`
	}
)

// MarshalJSON writes durations as text.
func (m Match) MarshalJSON() ([]byte, error) {
	return json.Marshal(jsonMatch{(*plainMatch)(&m), duration(m.After), duration(m.Until)})
}

// UnmarshalJSON reads durations as text, and refuses unknown fields.
func (m *Match) UnmarshalJSON(data []byte) error {
	j := jsonMatch{plainMatch: (*plainMatch)(m)}
	if err := strict(data, &j); err != nil {
		return fmt.Errorf("match: %w", err)
	}
	m.After, m.Until = time.Duration(j.After), time.Duration(j.Until)
	return nil
}

// MarshalJSON writes durations as text.
func (t Then) MarshalJSON() ([]byte, error) {
	return json.Marshal(jsonThen{(*plainThen)(&t), duration(t.RetryAfter), duration(t.For)})
}

// UnmarshalJSON reads durations as text, and refuses unknown fields.
func (t *Then) UnmarshalJSON(data []byte) error {
	j := jsonThen{plainThen: (*plainThen)(t)}
	if err := strict(data, &j); err != nil {
		return fmt.Errorf("then: %w", err)
	}
	t.RetryAfter, t.For = time.Duration(j.RetryAfter), time.Duration(j.For)
	return nil
}

// compile checks a rule and makes it ready to run.
func compile(f Fault) (*rule, error) {
	if err := f.Match.check(); err != nil {
		return nil, fmt.Errorf("match: %w", err)
	}
	if err := f.Then.check(); err != nil {
		return nil, fmt.Errorf("then: %w", err)
	}
	return &rule{
		Fault:    f,
		path:     globMatcher(f.Match.Path),
		object:   globMatcher(f.Match.Object),
		since:    time.Now(),
		random:   rand.New(rand.NewPCG(f.Match.Seed, 0)),
		requests: make(map[string]int),
	}, nil
}

func (m *Match) check() error {
	switch {
	case m.Server != "" && !slices.Contains([]string{ServerStorage, ServerMetadata, ServerOAuth}, m.Server):
		return fmt.Errorf("server must be storage, metadata or oauth, not %q", m.Server)
	case m.Class != "" && !slices.Contains([]Class{ClassA, ClassB, ClassFree}, m.Class):
		return fmt.Errorf("class must be A, B or free, not %q", m.Class)
	case m.Server != "" && m.Server != ServerStorage && (m.Object != "" || len(m.Ops) > 0 || m.Class != ""):
		return fmt.Errorf("object, ops and class are for server storage, not %s", m.Server)
	case m.Nth < 0 || m.From < 0 || m.To < 0 || m.Every < 0:
		return fmt.Errorf("nth, from, to and every must not be negative")
	case m.To > 0 && m.From > m.To:
		return fmt.Errorf("from %d is after to %d", m.From, m.To)
	case m.Share < 0 || m.Share > 1:
		return fmt.Errorf("share must be between 0 and 1, not %g", m.Share)
	case m.After < 0 || m.Until < 0 || m.Until > 0 && m.Until <= m.After:
		return fmt.Errorf("after %v and until %v are no window of time", m.After, m.Until)
	}
	for _, op := range m.Ops {
		if !op.valid() {
			return fmt.Errorf("ops: unknown operation %q", op)
		}
	}
	for _, method := range m.Methods {
		if method == "" || method != strings.ToUpper(method) {
			return fmt.Errorf("methods: %q must be an HTTP method in capitals", method)
		}
	}
	return nil
}

func (t *Then) check() error {
	e, ok := effects[t.Effect]
	if !ok {
		return fmt.Errorf("unknown effect %q", t.Effect)
	}
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"status", t.Status != 0}, {"retry_after", t.RetryAfter != 0}, {"body", t.Body != ""}, {"apply", t.Apply},
		{"for", t.For != 0}, {"bytes", t.Bytes != 0}, {"rate", t.Rate != 0}, {"requests", t.Requests != 0},
		{"object", t.Object != ""},
	} {
		if field.set && !slices.Contains(e.takes, field.name) {
			return fmt.Errorf("effect %s does not take %s (it takes: %s)", t.Effect, field.name, strings.Join(e.takes, ", "))
		}
		if !field.set && slices.Contains(e.needs, field.name) {
			return fmt.Errorf("effect %s needs %s", t.Effect, field.name)
		}
	}
	switch {
	case t.Status != 0 && (t.Status < http.StatusOK || t.Status > 599):
		return fmt.Errorf("status must be between 200 and 599, not %d", t.Status)
	case t.RetryAfter < 0 || t.For < 0 || t.Bytes < 0 || t.Rate < 0 || t.Requests < 0:
		return fmt.Errorf("retry_after, for, bytes, rate and requests must not be negative")
	}
	return nil
}

// globMatcher compiles a pattern of Match; nil for the empty one.
func globMatcher(glob string) func(string) bool {
	if glob == "" {
		return nil
	}
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for i := 0; i < len(glob); i++ {
		switch {
		case strings.HasPrefix(glob[i:], "**"):
			b.WriteString(".*")
			i++
		case glob[i] == '*':
			b.WriteString("[^/]*")
		case glob[i] == '?':
			b.WriteString("[^/]")
		default:
			b.WriteString(regexp.QuoteMeta(glob[i : i+1]))
		}
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String()).MatchString
}
