package sidecar_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/credentials/sidecar"
	"github.com/tidemark-go/tidemark/emulator"
)

func TestIdentitiesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up, MaxIdentities: 4})
		token(t, s, "")
		for i := range 20 {
			token(t, s, fmt.Sprintf("?scopes=s%d", i))
		}
		synctest.Wait()
		st := s.Stats()
		if len(st.Identities) != 5 {
			t.Errorf("%d caches are held, want 4 and that of the account", len(st.Identities))
		}
		if st.UpstreamFetches != 21 {
			t.Errorf("%d fetches are told of, with those of caches that are gone", st.UpstreamFetches)
		}
		// What the server is there for is never driven out; of the others the latest stay.
		token(t, s, "")
		token(t, s, "?scopes=s19")
		if n := up.count(tokenPath); n != 21 {
			t.Errorf("%d fetches", n)
		}
		token(t, s, "?scopes=s0")
		if n := up.count(tokenPath); n != 22 {
			t.Errorf("%d fetches after the return of the first", n)
		}
	})
}

func TestAccountsAreKeptReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(&emulator.MetadataOptions{ReuseUntil: -1, Latency: 100 * time.Millisecond})
		up.failing(down)
		s := start(t, &sidecar.Options{Transport: up})
		time.Sleep(10 * time.Minute)
		if r := ask(t, s, "/readyz"); r.status != 503 {
			t.Errorf("without a token: %v", r)
		}
		if r := ask(t, s, "/healthz", "Metadata-Flavor: "); r.status != 200 {
			t.Errorf("alive without a token: %v", r)
		}
		// Nobody asks, and yet a token is fetched soon after there are any.
		up.failing(nil)
		time.Sleep(40 * time.Second)
		if r := ask(t, s, "/readyz", "Metadata-Flavor: "); r.status != 200 {
			t.Errorf("40 s after the recovery: %v", r)
		}
		// And still there is one after a weekend.
		time.Sleep(60 * time.Hour)
		within(t, "the first token of Monday", 0, func() { token(t, s, "") })
		if !s.Ready() {
			t.Error("not ready on Monday")
		}
	})
}

// TestStatusPages also looks for secrets in all that is told.
func TestStatusPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up, Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		secrets := []string{token(t, s, "").Token, token(t, s, "?scopes=a").Token, value(t, s, identityPath+"?audience=a")}
		value(t, s, "instance/zone")
		ask(t, s, root+tokenPath, "Metadata-Flavor: ")
		up.failing(down)
		time.Sleep(56 * time.Minute)
		token(t, s, "")
		ask(t, s, root+"instance/preempted")

		stats := ask(t, s, "/stats", "Metadata-Flavor: ")
		var got map[string]any
		if err := json.Unmarshal([]byte(stats.body), &got); err != nil {
			t.Fatal(err)
		}
		for _, field := range []string{"requests", "upstream_fetches", "coalesced", "served_stale", "refused"} {
			if _, ok := got[field].(float64); !ok {
				t.Errorf("/stats has no %s: %s", field, stats.body)
			}
		}
		if got["requests"] != 8.0 || got["refused"] != 1.0 || got["served_stale"] == 0.0 || got["ready"] != true {
			t.Errorf("/stats: %s", stats.body)
		}
		metrics := ask(t, s, "/metrics", "Metadata-Flavor: ").body
		for _, line := range []string{
			"tidemark_sidecar_ready 1", `tidemark_sidecar_answers_total{with="token"} 3`, `tidemark_sidecar_refused_total{reason="metadata_flavor"} 1`,
			"# TYPE tidemark_sidecar_waiting gauge", `tidemark_sidecar_token_expires_in_seconds{identity="metadata|169.254.169.254|default"} 240`,
		} {
			if !strings.Contains(metrics, line+"\n") {
				t.Errorf("/metrics lacks %q:\n%s", line, metrics)
			}
		}
		if !strings.Contains(log.String(), "token renewed") {
			t.Errorf("the log does not tell of renewals: %s", &log)
		}
		for _, told := range []string{stats.body, metrics, log.String(), fmt.Sprintf("%v %+v", s, s.Stats())} {
			for _, secret := range secrets {
				if strings.Contains(told, secret) {
					t.Fatal("a token is told")
				}
			}
		}
	})
}

func TestOptions(t *testing.T) {
	for _, o := range []*sidecar.Options{
		{Upstream: "https://metadata"}, {Upstream: "http://user:pass@metadata"}, {Upstream: "http://metadata/computeMetadata"},
		{Upstream: "ftp://metadata"}, {Upstream: "http://"}, {Accounts: []string{"a/b"}}, {Accounts: []string{""}}, {Scopes: []string{"caf\u00e9"}},
		{Source: standing(nil), Upstream: "metadata"}, {Source: standing(nil), Accounts: []string{"default"}},
	} {
		if s, err := sidecar.New(o); err == nil {
			t.Errorf("%+v was taken", o)
			_ = s.Close()
		} else if strings.Contains(err.Error(), "pass") {
			t.Errorf("a password is told: %v", err)
		}
	}
	for _, host := range []string{"metadata", "metadata:80", "http://metadata:80/", "127.0.0.1:1"} {
		s, err := sidecar.New(&sidecar.Options{Upstream: host, Transport: newUpstream(nil)})
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		_ = s.Close()
		if r := ask(t, s, root+tokenPath); r.status != 503 && r.status != 200 {
			t.Errorf("a closed server: %v", r)
		}
	}
}
