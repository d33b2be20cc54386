package sidecar

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/credentials"
)

// Header values that are written as they are, without an allocation per request.
var (
	flavor      = []string{"Google"}
	serverName  = []string{"Metadata Server for VM"}
	noStore     = []string{"no-store"}
	contentJSON = []string{"application/json"}
	contentText = []string{"application/text"}
)

// ServeHTTP answers requests for metadata, and those for the status pages.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.count.requests.Add(1)
	h := w.Header()
	h["Metadata-Flavor"] = flavor
	h["Server"] = serverName
	if !s.enter(w, r) || s.status(w, r) {
		return
	}
	if !s.flavored(w, r, r.URL.Path == "/") {
		return
	}
	below, found := strings.CutPrefix(r.URL.Path, root)
	switch {
	case found && clean(below):
		s.serve(w, r, below)
	case r.URL.Path == "/":
		// The question of clients whether this is Google Cloud. It must not depend on an upstream.
		s.listing(w, "computeMetadata/\n")
	case r.URL.Path == "/computeMetadata/":
		s.listing(w, "v1/\n")
	case r.URL.Path == "/computeMetadata", r.URL.Path == strings.TrimSuffix(root, "/"):
		h.Set("Location", r.URL.Path+"/")
		w.WriteHeader(http.StatusMovedPermanently)
	default:
		s.text(w, http.StatusNotFound, "there is no such path")
	}
}

// clean refuses paths that a server behind this one might read as another.
func clean(below string) bool {
	return below == "" || path.Clean("/"+below) == "/"+strings.TrimSuffix(below, "/") && !strings.ContainsFunc(below, func(c rune) bool {
		return c < ' ' || c == 0x7f || c == '\\'
	})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, below string) {
	if rest, ok := strings.CutPrefix(below, "instance/service-accounts/"); ok {
		account, what, _ := strings.Cut(rest, "/")
		if (what == "token" || what == "identity") && !validAccount(account) {
			s.text(w, http.StatusNotFound, "there is no such account")
			return
		}
		switch what {
		case "token":
			s.serveToken(w, r, account)
			return
		case "identity":
			s.serveIdentity(w, r, account)
			return
		}
	}
	query := r.URL.Query()
	switch {
	case s.alone != nil:
		s.write(w, s.alone.get(below, query))
	case strings.EqualFold(query.Get("wait_for_change"), "true"):
		s.serveChange(w, r, below, query)
	default:
		a, err := s.values.get(r.Context(), below, query)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		s.write(w, a)
	}
}

// serveChange passes on a request that waits for a value to change, for as long as the client does.
func (s *Server) serveChange(w http.ResponseWriter, r *http.Request, below string, query url.Values) {
	if !s.subscribe.take() {
		s.fail(w, r, errBusy)
		return
	}
	defer s.subscribe.give()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ending, cancel)()
	control := http.NewResponseController(w)
	_ = control.SetWriteDeadline(time.Time{}) // a writer without deadlines has none to lift
	s.count.fetches.Add(1)
	a, err := s.up.ask(ctx, below, query.Encode())
	_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	s.write(w, a)
}

// known refuses accounts that the upstream does not have, before anything is kept for them.
func (s *Server) known(ctx context.Context, account string) error {
	if s.alone != nil {
		return s.alone.known(account)
	}
	if account == "default" {
		return nil
	}
	a, err := s.values.get(ctx, "instance/service-accounts/"+account+"/email", nil)
	if err == nil && a.status == http.StatusNotFound {
		return errNoAccount
	}
	if errors.Is(err, errBusy) {
		return err
	}
	return nil // whoever asks for the token will be told what is wrong
}

var errNoAccount = errors.New("there is no such account")

// write sends an answer of the upstream, or one that looks like it.
func (s *Server) write(w http.ResponseWriter, a *answer) {
	s.count.values.Add(1)
	h := w.Header()
	for name, value := range map[string]string{"Content-Type": a.kind, "Etag": a.etag, "Location": a.location} {
		if value != "" {
			h.Set(name, value)
		}
	}
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

// fail tells a client what went wrong so that it does the right thing: 429 and 503 are retried by every client, 403 and 404
// by none.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	failed, _ := errors.AsType[*credentials.Error](err)
	gone, _ := errors.AsType[*unavailable](err)
	status, wait := http.StatusServiceUnavailable, retrySoon
	switch {
	case errors.Is(err, errBusy):
		s.count.shed.Add(1)
		status = http.StatusTooManyRequests
	case errors.Is(err, errNoAccount):
		status = http.StatusNotFound
	case errors.Is(err, context.DeadlineExceeded):
		// Not the cache's last word: a pod that has just started is told 404 at first, too.
		if failed != nil {
			wait = max(wait, failed.RetryAfter)
		}
	case failed != nil && failed.Kind == credentials.Refused:
		status = http.StatusForbidden
	case failed != nil && failed.Kind == credentials.Misconfigured:
		status = http.StatusNotFound
	case failed != nil:
		wait = max(wait, failed.RetryAfter)
	case gone != nil:
		wait = max(wait, gone.retryAfter)
	}
	if status >= http.StatusInternalServerError {
		s.count.failed.Add(1)
	}
	if r.Context().Err() == nil { // else the client has left, which is nobody's failure
		s.complaints.log(s.opts.Logger, slog.LevelWarn, "request failed", "path", r.URL.Path, "status", status, "error", err)
	}
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
	}
	s.text(w, status, err.Error())
}

func (s *Server) text(w http.ResponseWriter, status int, words string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(words + "\n"))
}

func (s *Server) listing(w http.ResponseWriter, names string) {
	s.count.values.Add(1)
	w.Header()["Content-Type"] = contentText
	_, _ = w.Write([]byte(names))
}
