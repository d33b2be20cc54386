package sidecar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	root = "/computeMetadata/v1/"

	// maxValue bounds an answer. A real server holds 512 KiB of metadata for an instance and for its project each.
	maxValue = 1 << 20

	// maxHeader bounds the header of an answer, which is a few hundred bytes of a real server.
	maxHeader = 32 << 10
)

// upstream is the metadata server that is asked.
type upstream struct {
	host      string
	via       string
	transport http.RoundTripper
	own       *http.Transport // to be closed; nil if the transport was given
}

func newUpstream(host string, transport http.RoundTripper, via string) *upstream {
	u := &upstream{host: host, via: via, transport: transport}
	if transport == nil {
		u.own = &http.Transport{
			DialContext:            (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
			MaxIdleConnsPerHost:    2,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: maxHeader,
			DisableCompression:     true, // what is small on the wire must not become large here
		}
		u.transport = u.own
	}
	return u
}

func (u *upstream) close() {
	if u.own != nil {
		u.own.CloseIdleConnections()
	}
}

// client asks for tokens on behalf of package credentials, which knows no kinds of token: query is what asks for one.
func (u *upstream) client(query string) *http.Client {
	return &http.Client{Transport: marked{u, query}}
}

// marked adds to each request what says that this server sent it, so that a server which is its own upstream, by
// a GCE_METADATA_HOST that it sees itself, notices instead of asking itself until nothing is left.
type marked struct {
	up    *upstream
	query string
}

func (m marked) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Via", "1.1 "+m.up.via)
	if m.query != "" {
		if req.URL.RawQuery != "" {
			req.URL.RawQuery += "&"
		}
		req.URL.RawQuery += m.query
	}
	return m.up.transport.RoundTrip(req)
}

// answer is what the upstream said, whole.
type answer struct {
	status   int
	kind     string // Content-Type
	etag     string
	location string // path and query, of a redirect
	body     []byte
	date     time.Time // of the upstream's clock; zero if it did not say
}

// unavailable is a failure of the upstream that may be over soon.
type unavailable struct {
	host       string
	reason     error
	retryAfter time.Duration
}

func (e *unavailable) Error() string {
	return fmt.Sprintf("the metadata server %s gives no usable answer: %v", e.host, e.reason)
}

func (e *unavailable) Unwrap() error { return e.reason }

// ask sends one request for a path below root. Every error is an [*unavailable]: an answer that is none, such as a page of a
// proxy, is one too.
func (u *upstream) ask(ctx context.Context, path, query string) (*answer, error) {
	a, retryAfter, err := u.exchange(ctx, path, query)
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("no answer in time: %w", ctx.Err())
		}
		return nil, &unavailable{u.host, err, retryAfter}
	}
	return a, nil
}

func (u *upstream) exchange(ctx context.Context, path, query string) (*answer, time.Duration, error) {
	at := url.URL{Scheme: "http", Host: u.host, Path: root + path, RawQuery: query}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("Metadata-Flavor", "Google")
	req.Header.Set("User-Agent", "tidemark")
	resp, err := marked{up: u}.RoundTrip(req)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	if overloaded(resp.StatusCode) {
		return nil, retryAfter(resp.Header), fmt.Errorf("HTTP %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxValue+1))
	if err != nil {
		return nil, 0, fmt.Errorf("the answer broke off: %w", err)
	}
	if len(body) > maxValue {
		return nil, 0, fmt.Errorf("the answer is longer than %d bytes", maxValue)
	}
	a := &answer{status: resp.StatusCode, kind: resp.Header.Get("Content-Type"), etag: resp.Header.Get("Etag"), body: body}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		a.date = date
	}
	return a, 0, a.check(resp.Header)
}

// check refuses what no metadata server says.
func (a *answer) check(h http.Header) error {
	google := h.Get("Metadata-Flavor") == "Google"
	switch {
	case a.status == http.StatusOK && !google:
		return errors.New("the answer lacks Metadata-Flavor: Google; is there a proxy in between?")
	case a.status == http.StatusOK:
		return nil
	case a.status == http.StatusMovedPermanently || a.status == http.StatusFound:
		// The real server names itself in full, which would send the client past this one.
		to, err := url.Parse(h.Get("Location"))
		if err != nil || !google || !strings.HasPrefix(to.Path, root) {
			return errors.New("it redirects to elsewhere; is there a proxy in between?")
		}
		a.location = (&url.URL{Path: to.Path, RawQuery: to.RawQuery}).String()
		a.body = nil
		return nil
	case a.status >= 400:
		if !google { // the words may be a proxy's
			a.kind, a.body = "text/plain; charset=utf-8", []byte(http.StatusText(a.status)+"\n")
		}
		return nil
	}
	return fmt.Errorf("HTTP %d %s", a.status, http.StatusText(a.status))
}

// page reports a web page by its declared type, which no value has.
func (a *answer) page() bool {
	kind, _, err := mime.ParseMediaType(a.kind)
	return err == nil && kind == "text/html"
}

// overloaded reports a status that says nothing about the request, only about the server's day.
func overloaded(status int) bool {
	return status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout ||
		status == http.StatusTooEarly
}

// retryAfter reads the header of that name: seconds, or a date.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return max(time.Duration(seconds)*time.Second, 0)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}
