package sidecar

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/credentials"
)

const (
	// leastLeft is the least life that a token is handed out with: the client has yet to send it somewhere.
	leastLeft = 2 * time.Second

	// unknownLife is what a client is told of a token whose end nobody knows. Clients renew theirs when less than about
	// 4 min are left, so it has to be more than that to be of use to them.
	unknownLife = 10 * time.Minute

	maxScopes   = 64
	maxQuery    = 4 << 10 // bytes in the scopes or the audience of one request
	maxAccount  = 256
	evictedOnce = 3 // how often a request looks again for a cache that was driven out under its hands
)

// tokenQuery is what tells the tokens of one account apart.
type tokenQuery struct {
	scopes []string
	kind   string // query parameters that ask for another kind of token, as they go upstream
}

// kindParameters ask for another kind of token: one that is bound to a channel, or whose scopes are enforced. All other
// parameters, such as the audience that some clients send, change nothing.
var kindParameters = []string{"transport", "binding-enforcement", "enforce_scopes"}

func readTokenQuery(values url.Values, standard []string) (tokenQuery, error) {
	scopes, err := normalScopes(values["scopes"])
	if err != nil {
		return tokenQuery{}, err
	}
	if len(scopes) == 0 {
		scopes = standard
	}
	kind := url.Values{}
	for _, name := range kindParameters {
		v := strings.ToLower(values.Get(name))
		if v == "" {
			continue
		}
		// What values there are is the upstream's to say, but it is a word.
		if len(v) > 32 || strings.Trim(v, "abcdefghijklmnopqrstuvwxyz-") != "" {
			return tokenQuery{}, fmt.Errorf("%s has no such value", name)
		}
		kind.Set(name, v)
	}
	return tokenQuery{scopes, kind.Encode()}, nil
}

// normalScopes is the sorted set of scopes in lists that are separated by commas or spaces.
func normalScopes(lists []string) ([]string, error) {
	var scopes []string
	size := 0
	for _, list := range lists {
		if size += len(list); size > maxQuery {
			return nil, errors.New("the scopes are too long")
		}
		scopes = append(scopes, strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' })...)
	}
	if len(scopes) > maxScopes {
		return nil, errors.New("there are too many scopes")
	}
	for _, scope := range scopes {
		if strings.ContainsFunc(scope, func(c rune) bool { return c <= ' ' || c > '~' }) {
			return nil, errors.New("a scope holds a character that no scope has")
		}
	}
	slices.Sort(scopes)
	return slices.Compact(scopes), nil
}

// validAccount tells what may be an account from what would only cost a request.
func validAccount(account string) bool {
	if account == "" || len(account) > maxAccount {
		return false
	}
	return !strings.ContainsFunc(account, func(c rune) bool {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			return false
		}
		return !strings.ContainsRune("@._-+:", c)
	})
}

func tokenKey(account string, q tokenQuery) string {
	return "token " + account + " " + strings.Join(q.scopes, ",") + " " + q.kind
}

// serveToken answers …/token.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request, account string) {
	q := tokenQuery{scopes: s.opts.Scopes}
	var alt string
	if r.URL.RawQuery != "" {
		values := r.URL.Query()
		var err error
		if q, err = readTokenQuery(values, s.opts.Scopes); err != nil {
			s.text(w, http.StatusBadRequest, err.Error())
			return
		}
		alt = values.Get("alt")
	}
	t, left, err := s.find(r.Context(), account, tokenKey(account, q), func(ctx context.Context) (credentials.Source, error) {
		return s.tokenSource(ctx, account, q)
	})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.count.tokens.Add(1)
	body := make([]byte, 0, len(t.Value())+96)
	seconds := int64(left / time.Second)
	if alt == "text" {
		w.Header()["Content-Type"] = contentText
		body = append(append(body, "access_token "...), t.Value()...)
		body = strconv.AppendInt(append(body, "\nexpires_in "...), seconds, 10)
		body = append(body, "\ntoken_type Bearer\n"...)
	} else {
		w.Header()["Content-Type"] = contentJSON
		// A token consists of visible ASCII, of which Go and JSON quote the same.
		body = strconv.AppendQuote(append(body, `{"access_token":`...), t.Value())
		body = strconv.AppendInt(append(body, `,"expires_in":`...), seconds, 10)
		body = append(body, `,"token_type":"Bearer"}`...)
	}
	w.Header()["Cache-Control"] = noStore
	_, _ = w.Write(body)
}

// find gets a token and what is left of it.
func (s *Server) find(ctx context.Context, account, key string,
	source func(context.Context) (credentials.Source, error)) (*credentials.Token, time.Duration, error) {
	for range evictedOnce {
		id := s.pool.lookup(key)
		if id == nil {
			if err := s.known(ctx, account); err != nil {
				return nil, 0, err
			}
			src, err := source(ctx)
			if err != nil {
				return nil, 0, err
			}
			if id, err = s.pool.add(key, src, &credentials.Options{Logger: s.opts.Logger, Patience: s.opts.Patience}); err != nil {
				return nil, 0, err
			}
		}
		t, left, err := s.get(ctx, id)
		if !errors.Is(err, credentials.ErrClosed) {
			return t, left, err
		}
	}
	return nil, 0, errBusy
}

// elapsed is a context that has ended: a cache that is asked with it answers from memory or not at all.
var elapsed = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// get waits for a token if it must, and only then takes a slot.
func (s *Server) get(ctx context.Context, id *identity) (*credentials.Token, time.Duration, error) {
	if t, err := id.cache.Get(elapsed); err == nil {
		if left, ok := id.good(t); ok {
			return t, left, nil
		}
	}
	// The first call after each renewal finds the token only under the cache's lock; that is no reason to wait either.
	if id.cache.Stats().State == credentials.Expired.String() {
		if !s.waiting.take() {
			return nil, 0, errBusy
		}
		defer s.waiting.give()
	}
	ctx, cancel := context.WithTimeout(ctx, s.opts.Patience)
	defer cancel()
	for {
		t, err := id.cache.Get(ctx)
		if err != nil {
			return nil, 0, err
		}
		left, ok := id.good(t)
		if ok {
			return t, left, nil
		}
		// It is about to be withdrawn; then Get waits for the next one.
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// good is what is left of a token, if that is enough to hand it out.
func (id *identity) good(t *credentials.Token) (time.Duration, bool) {
	if t.Expiry().IsZero() {
		return unknownLife, true
	}
	left := id.left(t, time.Now())
	return left, left >= leastLeft
}
