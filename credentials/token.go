package credentials

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// maxLife is the longest life a reply may claim. Google grants at most 12 hours and Azure 24; a longer
// claim is a unit error (milliseconds, an absolute time) or an attack, and would keep a dead token in use.
const maxLife = 24 * time.Hour

const redacted = "[redacted]"

// Token is one access token. It never changes, may be shared by any number of goroutines, and prints as
// [redacted] however it is printed.
type Token struct {
	// The secret is behind a function because fmt, where a Token is an unexported field of something else,
	// calls no Format method: it reads every field and, under some verbs, what pointers point to.
	secret   func() *secret
	account  string
	sent     time.Time
	deadline time.Time // with monotonic reading; zero for a token whose expiry nobody knows
}

type secret struct {
	value  string
	header []string // the finished header value, so that authorising a request allocates nothing
}

// NewToken makes the token that a source received in reply to a request sent at the given time, with the
// life that the reply stated. The life counts from sending, since the server may have started it at any
// moment after that. Only bearer tokens exist here: kind is "Bearer" or empty. account may be empty.
func NewToken(value, kind, account string, sent time.Time, life time.Duration) (*Token, error) {
	if life <= 0 || life > maxLife {
		return nil, fmt.Errorf("the reply says that its token lives for %v, which is not between 0 and %v", life, maxLife)
	}
	t, err := lastingToken(value, kind, account, sent)
	if err != nil {
		return nil, err
	}
	t.deadline = sent.Add(life)
	return t, nil
}

func lastingToken(value, kind, account string, sent time.Time) (*Token, error) {
	if value == "" {
		return nil, errors.New("the reply holds no token")
	}
	for i := range len(value) {
		if value[i] <= ' ' || value[i] > '~' {
			return nil, errors.New("the token holds bytes that no header may carry")
		}
	}
	if kind != "" && !strings.EqualFold(kind, "bearer") {
		return nil, fmt.Errorf("the reply holds a token of type %.20q, not a bearer token", kind)
	}
	s := &secret{value: value, header: []string{"Bearer " + value}}
	return &Token{
		secret:  func() *secret { return s },
		account: account,
		sent:    sent,
	}, nil
}

// Authorization is the value of the Authorization header: "Bearer …".
func (t *Token) Authorization() string { return t.secret().header[0] }

// Authorize sets the Authorization header of a request that the caller owns, without an allocation.
func (t *Token) Authorize(h http.Header) { h["Authorization"] = t.secret().header }

// Value is the bare token.
func (t *Token) Value() string { return t.secret().value }

// Type is the token's type as the Authorization header names it.
func (t *Token) Type() string { return "Bearer" }

// Account is the identity that the token stands for, as far as its source knows it: often an e-mail
// address, sometimes empty.
func (t *Token) Account() string { return t.account }

// Expiry is the time of the wall clock at which the token dies; the zero time if nobody knows it.
func (t *Token) Expiry() time.Time { return t.deadline.Round(0) }

// lasting reports that no expiry is known.
func (t *Token) lasting() bool { return t.deadline.IsZero() }

// remaining is the life left at now, by the clock that says less: the monotonic one stands still while the
// machine is suspended, and the wall clock may be set back.
func (t *Token) remaining(now, wall time.Time) time.Duration {
	return min(t.deadline.Sub(now), t.deadline.Round(0).Sub(wall.Round(0)))
}

// sameExpiry is how close two expiries are that are the same: lives are stated in whole seconds and counted
// from different moments of sending.
const sameExpiry = 2 * time.Second

// sameAs reports whether a reply brought nothing that held did not have already.
func (t *Token) sameAs(held *Token) bool {
	return t.secret().value == held.secret().value || !t.lasting() && !t.deadline.After(held.deadline.Add(sameExpiry))
}

// String prints [redacted].
func (t Token) String() string { return redacted }

// GoString prints [redacted].
func (t Token) GoString() string { return redacted }

// Format prints [redacted] under every verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText gives [redacted], also to encoding/json and as a map key.
func (t Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON gives "[redacted]".
func (t Token) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue gives [redacted].
func (t Token) LogValue() slog.Value { return slog.StringValue(redacted) }
