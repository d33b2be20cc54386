package credentials

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Source is where tokens come from. Retrying, caching and sharing are the cache's business.
type Source interface {
	// Fetch asks once and returns when the context ends at the latest. Its error is an [*Error] that
	// classifies the failure; any other error counts as [Unavailable].
	Fetch(ctx context.Context) (*Token, error)

	// Identity tells apart what must not share a token: kind of source, host, account, scopes or audience.
	// It is the key of the process-wide cache and is printed, so it holds no secret.
	Identity() string
}

// Namer is a [Source] that has a better name for messages than its identity.
type Namer interface {
	Name() string
}

// AccountNamer is a [Source] that can find out on whose behalf it gets tokens, by a request if need be.
type AccountNamer interface {
	Account(ctx context.Context) (string, error)
}

// watched is a [Source] that can tell, without a fetch, that there is something new to fetch.
type watched interface{ changed() bool }

// patient is a [Source] whose attempts need more time than a request to a token server.
type patient interface{ patience() time.Duration }

// patienceOf is the time that one attempt needs; 0 for the usual.
func patienceOf(src Source) time.Duration {
	if p, ok := src.(patient); ok {
		return p.patience()
	}
	return 0
}

func nameOf(src Source) string {
	if n, ok := src.(Namer); ok {
		return n.Name()
	}
	return src.Identity()
}

// accountOf asks the source for its account and makes do without.
func accountOf(ctx context.Context, src Source) string {
	n, ok := src.(AccountNamer)
	if !ok {
		return ""
	}
	account, err := n.Account(ctx)
	if err != nil {
		return ""
	}
	return account
}

// identity joins what tells sources apart. Scopes are a set: their order makes no other identity.
func identity(kind string, parts []string, scopes []string) string {
	set := slices.Clone(scopes)
	slices.Sort(set)
	all := append(append([]string{kind}, parts...), slices.Compact(set)...)
	for i, part := range all {
		all[i] = escaped.Replace(part)
	}
	return strings.Join(all, "|")
}

// escaped keeps one part of an identity from looking like two.
var escaped = strings.NewReplacer("%", "%25", "|", "%7C")

// fingerprint tells secrets of high entropy apart without giving them away.
func fingerprint(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:8])
}

// hidden is a string that fmt, slog and encoding/json cannot see, wherever it is embedded.
type hidden struct{ text *string }

func hide(text string) hidden { return hidden{&text} }

func (h hidden) reveal() string { return *h.text }

// Format prints [redacted] under every verb.
func (h hidden) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// Static is a source of one given token of unknown expiry: it is served until the service refuses it.
func Static(token, account string) Source { return &static{token: hide(token), account: account} }

type static struct {
	token   hidden
	account string
}

func (s *static) Fetch(context.Context) (*Token, error) {
	t, err := lastingToken(s.token.reveal(), "", s.account, time.Now())
	if err != nil {
		return nil, &Error{Kind: Misconfigured, Source: s.Name(), Err: err, Remedy: "give another token"}
	}
	return t, nil
}

func (s *static) Identity() string {
	return identity("static", []string{s.account, fingerprint(s.token.reveal())}, nil)
}

func (s *static) Name() string { return "static token" }

func (s *static) Account(context.Context) (string, error) { return s.account, nil }
