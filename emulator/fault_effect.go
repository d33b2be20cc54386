package emulator

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// effect is how an Effect is done, and which fields of Then it takes and needs.
type effect struct {
	takes, needs []string
	run          func(s *strike, w http.ResponseWriter, r *http.Request)
}

// strike is one rule taking effect on one request.
type strike struct {
	*Faults
	rule   *rule
	server string
	next   http.Handler
}

var effects = map[Effect]effect{
	EffectStatus:       {[]string{"status", "retry_after", "body", "apply"}, []string{"status"}, (*strike).status},
	EffectHTML:         {[]string{"status", "apply"}, nil, (*strike).html},
	EffectRefuse:       {[]string{"for"}, []string{"for"}, (*strike).refuseConnections},
	EffectReset:        {[]string{"apply"}, nil, (*strike).reset},
	EffectClose:        {[]string{"apply"}, nil, (*strike).close},
	EffectCloseAfter:   {[]string{"requests"}, []string{"requests"}, (*strike).closeAfter},
	EffectDelay:        {[]string{"for"}, []string{"for"}, (*strike).delay},
	EffectLate:         {[]string{"for"}, []string{"for"}, (*strike).late},
	EffectStall:        {[]string{"bytes", "for"}, nil, (*strike).changeReply},
	EffectStallRequest: {[]string{"bytes", "for"}, nil, (*strike).changeRequest},
	EffectSlow:         {[]string{"rate"}, []string{"rate"}, (*strike).changeReply},
	EffectSlowRequest:  {[]string{"rate"}, []string{"rate"}, (*strike).changeRequest},
	EffectBreak:        {[]string{"bytes"}, nil, (*strike).changeReply},
	EffectBreakRequest: {[]string{"bytes", "status"}, nil, (*strike).breakRequest},
	EffectFlip:         {[]string{"bytes"}, nil, (*strike).changeReply},
	EffectTruncate:     {[]string{"bytes"}, nil, (*strike).changeReply},
	EffectRepeat:       {[]string{"bytes"}, []string{"bytes"}, (*strike).changeReply},
	EffectSwap:         {[]string{"object"}, []string{"object"}, (*strike).swap},
	EffectWrongCRC:     {nil, nil, (*strike).changeReply},
	EffectRevoke:       {nil, nil, (*strike).revokeToken},
}

// apply carries the request out, if the rule says so, and throws the reply away. Otherwise it reads the body, because
// a server that answers before it has read costs the client its connection and with it, sometimes, the answer.
func (s *strike) apply(r *http.Request) {
	if s.rule.Then.Apply {
		s.next.ServeHTTP(&lostReply{header: http.Header{}}, r)
	}
	_, _ = io.Copy(io.Discard, r.Body)
}

func (s *strike) status(w http.ResponseWriter, r *http.Request) {
	s.apply(r)
	t := &s.rule.Then
	if t.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((t.RetryAfter+time.Second-1)/time.Second), 10))
	}
	if t.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
	}
	if t.Body != "" {
		if strings.HasPrefix(strings.TrimSpace(t.Body), "{") {
			w.Header().Set("Content-Type", "application/json; charset=UTF-8")
		}
		w.WriteHeader(t.Status)
		_, _ = io.WriteString(w, t.Body)
		return
	}
	switch {
	case t.Status < http.StatusBadRequest:
		w.WriteHeader(t.Status)
	case s.server == ServerMetadata:
		htmlError(w, t.Status, "")
	default:
		apiError(w, t.Status, fmt.Sprintf("%s (emulator: %s)", http.StatusText(t.Status), s.rule.Name))
	}
}

func (s *strike) html(w http.ResponseWriter, r *http.Request) {
	s.apply(r)
	status := s.rule.Then.Status
	if status == 0 {
		status = http.StatusBadGateway
	}
	htmlError(w, status, "The proxy received an invalid response from the upstream server.")
}

func (s *strike) refuseConnections(w http.ResponseWriter, _ *http.Request) {
	s.refuse(s.server, s.rule.Then.For)
	resetConnection(w)
}

func (s *strike) reset(w http.ResponseWriter, r *http.Request) {
	s.apply(r)
	resetConnection(w)
}

func (s *strike) close(_ http.ResponseWriter, r *http.Request) {
	s.apply(r)
	panic(http.ErrAbortHandler)
}

// closeAfter announces the end, as a server does that limits how many requests a connection may carry.
func (s *strike) closeAfter(w http.ResponseWriter, r *http.Request) {
	s.rule.mu.Lock()
	s.rule.requests[r.RemoteAddr]++
	if s.rule.requests[r.RemoteAddr] >= s.rule.Then.Requests {
		delete(s.rule.requests, r.RemoteAddr)
		w.Header().Set("Connection", "close")
	}
	s.rule.mu.Unlock()
	s.next.ServeHTTP(w, r)
}

func (s *strike) delay(w http.ResponseWriter, r *http.Request) {
	if !pause(r.Context(), s.rule.Then.For) {
		panic(http.ErrAbortHandler) // to return would be to answer 200
	}
	s.next.ServeHTTP(w, r)
}

// late reads the request, waits until its client gave up, and carries it out then: the worst that a timeout can hide.
func (s *strike) late(w http.ResponseWriter, r *http.Request) {
	// The body has to be read first: only then does net/http notice that the client leaves.
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	clientStayed := pause(r.Context(), s.rule.Then.For)
	if base, ok := r.Context().Value(baseKey{}).(context.Context); ok && base.Err() != nil {
		panic(http.ErrAbortHandler) // the server closes: nothing is applied any more
	}
	late := r.WithContext(context.WithoutCancel(r.Context()))
	late.Body = io.NopCloser(bytes.NewReader(body))
	if clientStayed {
		s.next.ServeHTTP(w, late)
		return
	}
	s.next.ServeHTTP(&lostReply{header: http.Header{}}, late)
}

func (s *strike) changeReply(w http.ResponseWriter, r *http.Request) {
	out := &changedReply{ResponseWriter: w, ctx: r.Context(), then: s.rule.Then}
	s.next.ServeHTTP(out, r)
	out.finish()
}

func (s *strike) changeRequest(w http.ResponseWriter, r *http.Request) {
	changed := r.WithContext(r.Context())
	changed.Body = &changedBody{ReadCloser: r.Body, ctx: r.Context(), then: s.rule.Then}
	s.next.ServeHTTP(w, changed)
}

// breakRequest lets the server see half a request and the client nothing, or a status that does not tell how much came.
func (s *strike) breakRequest(w http.ResponseWriter, r *http.Request) {
	broken := r.WithContext(r.Context())
	broken.Body = &changedBody{ReadCloser: r.Body, ctx: r.Context(), then: s.rule.Then}
	s.next.ServeHTTP(&lostReply{header: http.Header{}}, broken)
	if s.rule.Then.Status != 0 {
		s.status(w, r)
		return
	}
	panic(http.ErrAbortHandler)
}

// swap is the mix-up of a cache or a proxy: a good reply, of another object.
func (s *strike) swap(w http.ResponseWriter, r *http.Request) {
	t := classify(r)
	path := r.URL.EscapedPath()
	dir := "/" + url.PathEscape(t.bucket) + "/"
	if i := strings.Index(path, "/o/"); i >= 0 && strings.Contains(path, "/storage/v1/b/") {
		dir = path[:i+len("/o/")]
	}
	if t.object == "" {
		s.next.ServeHTTP(w, r)
		return
	}
	other := r.WithContext(r.Context())
	u := *r.URL
	u.RawPath = dir + url.PathEscape(s.rule.Then.Object)
	u.Path = unescape(u.RawPath)
	other.URL = &u
	s.next.ServeHTTP(w, other)
}

func (s *strike) revokeToken(w http.ResponseWriter, r *http.Request) {
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		s.revoke(bearer)
	}
	s.next.ServeHTTP(w, r)
}

// resetConnection cuts the client off with a TCP reset, so that it cannot take the end for an orderly one.
func resetConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2, or a recorder: the closest there is
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// htmlError is the page that Google's front ends and many proxies send, which must never be parsed as an answer.
func htmlError(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<!DOCTYPE html>\n<html lang=en><title>Error %d (%s)</title>\n<p><b>%d.</b> That is an error.\n<p>%s\n",
		status, http.StatusText(status), status, detail)
}

// apiError is an error in the form of Google's JSON APIs.
func apiError(w http.ResponseWriter, status int, message string) {
	reasons := map[int]string{
		http.StatusUnauthorized: "authError", http.StatusForbidden: "forbidden", http.StatusNotFound: "notFound",
		http.StatusGone: "uploadBrokenConnection", http.StatusPreconditionFailed: "conditionNotMet",
		http.StatusTooManyRequests: "rateLimitExceeded",
	}
	reason, ok := reasons[status]
	if !ok {
		reason = "backendError"
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": status, "message": message,
		"errors": []map[string]string{{"domain": "global", "reason": reason, "message": message}},
	}})
}
