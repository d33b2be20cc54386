package credentials

import (
	"bytes"
	"context"
	"encoding/json"
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

// maxBody bounds a reply. The largest tokens in use are a few KiB.
const maxBody = 64 << 10

// tokenClient talks to token endpoints on the internet. It keeps no connection: the next fetch is most of
// an hour away, and a kept connection is two goroutines that outlive every cache.
var tokenClient = &http.Client{Transport: &http.Transport{
	Proxy:               http.ProxyFromEnvironment,
	DialContext:         (&net.Dialer{Timeout: 4 * time.Second}).DialContext,
	TLSHandshakeTimeout: 4 * time.Second,
	DisableKeepAlives:   true,
}}

// reply is an answer of a token server that arrived whole.
type reply struct {
	status int
	header http.Header
	body   []byte
	sent   time.Time
}

// exchange sends a request once. Redirects are not followed: no token server sends any, captive portals do.
func exchange(client *http.Client, req *http.Request) (*reply, error) {
	direct := *client
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	sent := time.Now()
	resp, err := direct.Do(req)
	if err != nil {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // the URL around it is in the source's name already
		}
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("the answer broke off: %w", err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxBody)
	}
	return &reply{resp.StatusCode, resp.Header, body, sent}, nil
}

// json decodes the body if it is a JSON object by type and by look. Some servers do not state the type, or
// state text/plain; whatever is a page, by either, is not looked into.
func (r *reply) json(into any) error {
	declared := r.header.Get("Content-Type")
	kind, _, err := mime.ParseMediaType(declared)
	typed := err == nil && (kind == "application/json" || strings.HasSuffix(kind, "+json") || kind == "text/plain")
	if !typed && declared != "" {
		return fmt.Errorf("the answer is of type %.40q, not JSON: is there a proxy in between?", declared)
	}
	if !bytes.HasPrefix(bytes.TrimLeft(r.body, " \t\r\n"), []byte("{")) {
		return errors.New("the answer is not a JSON object: is there a proxy in between?")
	}
	if err := json.Unmarshal(r.body, into); err != nil {
		return errors.New("the answer is not valid JSON") // the decoder's words may quote the body
	}
	return nil
}

// token reads a granted token (RFC 6749, section 5.1). A reply that does not say how long the token lives
// is no token: nobody could withdraw it in time.
func (r *reply) token(account string) (*Token, error) {
	var grant struct {
		Value     string      `json:"access_token"`
		Kind      string      `json:"token_type"`
		ExpiresIn json.Number `json:"expires_in"`
	}
	if err := r.json(&grant); err != nil {
		return nil, err
	}
	seconds, err := strconv.ParseInt(grant.ExpiresIn.String(), 10, 64)
	if err != nil || seconds <= 0 || seconds > int64(maxLife/time.Second) {
		return nil, fmt.Errorf("the reply states no usable life of its token (expires_in %.30q)", grant.ExpiresIn.String())
	}
	return NewToken(grant.Value, grant.Kind, account, r.sent, time.Duration(seconds)*time.Second)
}

// retryAfter reads the header of that name: seconds, or a date.
func (r *reply) retryAfter() time.Duration {
	text := r.header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return max(time.Duration(seconds)*time.Second, 0)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// says is the answer in a few words for an error message: its status and, if it is text, how it begins.
func (r *reply) says() string {
	text := fmt.Sprintf("HTTP %d", r.status)
	if name := http.StatusText(r.status); name != "" {
		text += " " + name
	}
	kind, _, _ := mime.ParseMediaType(r.header.Get("Content-Type"))
	if kind != "text/plain" || r.status < 400 {
		return text
	}
	if words := printable(string(r.body), 160); words != "" {
		text += ": " + words
	}
	return text
}

// printable is the start of what a server said, on one line.
func printable(text string, limit int) string {
	words := strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(words) > limit {
		words = strings.ToValidUTF8(words[:limit], "") + "…"
	}
	return words
}

// overloaded reports a status that says nothing about the request, only about the server's day.
func overloaded(status int) bool {
	return status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout ||
		status == http.StatusTooEarly
}

func newRequest(ctx context.Context, method, url string, body io.Reader) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return nil, &Error{Kind: Misconfigured, Err: err, Remedy: "correct the address"}
	}
	req.Header.Set("User-Agent", "tidemark")
	req.Header.Set("Accept", "application/json")
	return req, nil
}
