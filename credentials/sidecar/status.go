package sidecar

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// status answers the pages that tell how the server does. They show no token, and need no Metadata-Flavor.
func (s *Server) status(w http.ResponseWriter, r *http.Request) bool {
	switch r.URL.Path {
	case "/healthz":
		s.text(w, http.StatusOK, "ok")
	case "/readyz":
		if !s.Ready() {
			w.Header().Set("Retry-After", "1")
			s.text(w, http.StatusServiceUnavailable, "there is no token yet")
			break
		}
		s.text(w, http.StatusOK, "ready")
	case "/stats":
		body, err := json.Marshal(s.Stats())
		if err != nil {
			panic(err) // numbers and strings always encode
		}
		w.Header()["Content-Type"] = contentJSON
		_, _ = w.Write(append(body, '\n'))
	case "/metrics":
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(s.Stats().metrics())
	default:
		return false
	}
	return true
}

// Status is the handler of /healthz, /readyz, /stats and /metrics alone. It may be served where [Server] must not be, for
// those who watch from another machine.
func (s *Server) Status() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.enter(w, r) && !s.status(w, r) {
			s.text(w, http.StatusNotFound, "there are /healthz, /readyz, /stats and /metrics")
		}
	})
}

// metrics are the counters in the text format of Prometheus.
func (st Stats) metrics() []byte {
	var b bytes.Buffer
	metric := func(kind, name, help string) {
		fmt.Fprintf(&b, "# HELP tidemark_sidecar_%s %s\n# TYPE tidemark_sidecar_%s %s\n", name, help, name, kind)
	}
	value := func(name, labels string, n any) { fmt.Fprintf(&b, "tidemark_sidecar_%s%s %v\n", name, labels, n) }
	one := func(kind, name, help string, n any) {
		metric(kind, name, help)
		value(name, "", n)
	}
	ready := 0
	if st.Ready {
		ready = 1
	}
	one("gauge", "ready", "1 while there is a valid token for each account.", ready)
	one("counter", "requests_total", "Requests, refused ones too.", st.Requests)
	metric("counter", "answers_total", "Requests answered, by what with.")
	value("answers_total", `{with="token"}`, st.Answered.Tokens)
	value("answers_total", `{with="identity_token"}`, st.Answered.Identities)
	value("answers_total", `{with="value"}`, st.Answered.Values)
	metric("counter", "refused_total", "Requests turned away, by reason.")
	for _, r := range []struct {
		reason string
		n      int64
	}{
		{"metadata_flavor", st.RefusedBy.Flavor}, {"forwarded", st.RefusedBy.Forwarded}, {"host", st.RefusedBy.Host},
		{"method", st.RefusedBy.Method}, {"loop", st.RefusedBy.Loop}, {"overload", st.RefusedBy.Overload},
	} {
		value("refused_total", fmt.Sprintf("{reason=%q}", r.reason), r.n)
	}
	one("counter", "failed_total", "Requests answered 503: nothing to serve and no answer from upstream in time.", st.Failed)
	one("counter", "upstream_fetches_total", "Requests made upstream.", st.UpstreamFetches)
	metric("counter", "fetch_failures_total", "Attempts to get a token that failed, by kind.")
	value("fetch_failures_total", `{kind="unavailable"}`, st.Failures.Unavailable)
	value("fetch_failures_total", `{kind="refused"}`, st.Failures.Refused)
	value("fetch_failures_total", `{kind="misconfigured"}`, st.Failures.Misconfigured)
	one("counter", "coalesced_total", "Requests that joined a request under way upstream.", st.Coalesced)
	one("counter", "served_stale_total", "Answers with a valid token whose renewal was due, or an old value.", st.ServedStale)
	one("gauge", "waiting", "Requests that wait for the upstream.", st.Waiting)
	one("gauge", "subscribers", "Requests with wait_for_change.", st.Subscribers)
	one("gauge", "connections", "Open connections.", st.Connections)
	metric("gauge", "token_expires_in_seconds", "What is left of each token; 0 without one.")
	for _, id := range st.Identities {
		value("token_expires_in_seconds", fmt.Sprintf("{identity=%q}", id.Identity), id.LeftSeconds)
	}
	return b.Bytes()
}
