package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/credentials"
)

const (
	// askTime bounds one light question to the metadata server, which answers in milliseconds.
	askTime = 2 * time.Second
	// slowMetadata is more than a healthy server takes, and what each start of a program then waits for its token.
	slowMetadata = 250 * time.Millisecond
	// largestSkew is how far clocks may differ before a signed assertion or a token's stated life cannot be relied on.
	largestSkew = 30 * time.Second
)

// metadataServer asks for what costs the server nothing, unlike tokens.
type metadataServer struct {
	host   string
	client *http.Client
}

func newMetadataServer() *metadataServer {
	host := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(os.Getenv("GCE_METADATA_HOST")), "http://"), "/")
	return &metadataServer{
		host: orElse(host, credentials.MetadataHost),
		client: &http.Client{
			Transport:     &http.Transport{DisableKeepAlives: true}, // no proxy: it would answer for another machine
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// metadataAnswer is one answer of the metadata server.
type metadataAnswer struct {
	status int
	google bool // it said so
	body   string
	took   time.Duration
	clock  clockReading
}

func (m *metadataServer) ask(ctx context.Context, path string) (*metadataAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.host+"/computeMetadata/v1/"+path, nil)
	if err != nil {
		return nil, errors.New("GCE_METADATA_HOST is not of the form host or host:port")
	}
	req.Header.Set("Metadata-Flavor", "Google")
	sent := time.Now()
	resp, err := m.client.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = errors.New("no answer in time")
		}
		return nil, fmt.Errorf("metadata server %s: %w", m.host, err)
	}
	defer func() { _ = resp.Body.Close() }()
	const enough = 64 << 10
	body, err := io.ReadAll(io.LimitReader(resp.Body, enough))
	if err != nil {
		return nil, fmt.Errorf("metadata server %s: the answer broke off: %w", m.host, err)
	}
	return &metadataAnswer{
		status: resp.StatusCode, google: resp.Header.Get("Metadata-Flavor") == "Google", body: string(body),
		took: time.Since(sent), clock: readClock(resp.Header, sent, time.Now()),
	}, nil
}

// metadataLatency asks five times for the project's name. Whether there are tokens is for the check of the token to say, with
// more patience, so what goes wrong here is a warning.
func (d *doctor) metadataLatency(ctx context.Context) {
	const name, times = "metadata-latency", 5
	var (
		took []time.Duration
		best clockReading
		last *metadataAnswer
	)
	for range times {
		a, err := d.metadata.ask(ctx, "project/project-id")
		if err != nil {
			d.add(check{Name: name, Severity: warning, Detail: oneLine(err.Error()),
				Hint: "see whether this machine is on Google Cloud or its sidecar runs, and whether a firewall or network policy is in between"})
			return
		}
		last, best = a, best.better(a.clock)
		took = append(took, a.took)
	}
	slices.Sort(took)
	median := took[times/2]
	c := check{Name: name, Seconds: measured(median), Detail: fmt.Sprintf("%s in the median of %d requests, %s at most", briefly(median), times, briefly(took[times-1]))}
	switch {
	case !last.google:
		c.Severity, c.Detail = warning, fmt.Sprintf("%s answers HTTP %d without Metadata-Flavor: Google: it is not Google's metadata server", d.metadata.host, last.status)
		c.Hint = "see who answers at this address; GCE_METADATA_HOST chooses another"
	case last.status != http.StatusOK:
		c.Severity, c.Detail = warning, fmt.Sprintf("%s; it answers HTTP %d when asked for the project", c.Detail, last.status)
		c.Hint = "see the check of the token: the server may be starting, overloaded or restricted"
	case median > slowMetadata:
		c.Severity, c.Hint = warning, "share one token cache in each process, as tidemark does, and put `tidemark metadata serve` in front for other programs"
	}
	d.add(c)
	d.clock("metadata-clock", "the metadata server's", best)
}

// clockReading is a server's Date against this machine's clock.
type clockReading struct {
	ahead time.Duration // of this machine
	doubt time.Duration // the reading is that much wrong at most
	known bool
}

// readClock compares the middle of the request's time with the middle of the second that Date names.
func readClock(h http.Header, sent, received time.Time) clockReading {
	at, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return clockReading{}
	}
	took := received.Sub(sent)
	return clockReading{ahead: sent.Add(took / 2).Sub(at.Add(time.Second / 2)), doubt: (took + time.Second) / 2, known: true}
}

func (r clockReading) better(other clockReading) clockReading {
	if !r.known || other.known && other.doubt < r.doubt {
		return other
	}
	return r
}

// clock adds a check of this machine's clock against a server's.
func (d *doctor) clock(name, whose string, r clockReading) {
	if !r.known {
		d.add(check{Name: name, Severity: warning, Detail: "the answers state no date", Hint: "see that this machine's clock is synchronised (chronyc tracking, timedatectl)"})
		return
	}
	c := check{Name: name, Seconds: measured(r.ahead), Detail: "agrees with " + whose + " to within " + briefly(max(r.ahead.Abs(), r.doubt))}
	if r.ahead.Abs()-r.doubt > largestSkew {
		direction := "ahead of"
		if r.ahead < 0 {
			direction = "behind"
		}
		c.Severity = warning
		c.Detail = fmt.Sprintf("this machine's clock is %s %s %s", humanDuration(r.ahead.Abs()), direction, whose)
		c.Hint = "synchronise the clock (chrony, systemd-timesyncd): signed requests are refused when it is wrong, and ages are shown wrong"
	}
	d.add(c)
}

// briefly is a short time to three digits.
func briefly(took time.Duration) string {
	if took >= time.Second {
		return fmt.Sprintf("%.1f s", took.Seconds())
	}
	return fmt.Sprintf("%.3g ms", float64(took)/float64(time.Millisecond))
}
