package s3servers

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/checkpoint"
)

// without serves requests without a header, as a server does that does not know it.
func without(header string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				r.Header.Del(header)
			}
			next.ServeHTTP(w, r)
		})
	}
}

// altered lets change see every answer before it leaves.
func altered(change func(r *http.Request, answer *httptest.ResponseRecorder)) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := httptest.NewRecorder()
			next.ServeHTTP(answer, r)
			change(r, answer)
			for name, values := range answer.Header() {
				w.Header()[name] = values
			}
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes())
		})
	}
}

func isList(r *http.Request) bool { return r.URL.Query().Get("list-type") == "2" }

// cachedListings lists for ever what it listed first.
func cachedListings() func(http.Handler) http.Handler {
	var mu sync.Mutex
	var first []byte
	return altered(func(r *http.Request, answer *httptest.ResponseRecorder) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case !isList(r):
		case first == nil:
			first = bytes.Clone(answer.Body.Bytes())
		default:
			answer.Header().Del("Content-Length")
			answer.Body = bytes.NewBuffer(first)
		}
	})
}

// emptyListings lists nothing.
func emptyListings(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isList(r) {
			w.Header().Set("Content-Type", "application/xml")
			_, _ = io.WriteString(w, `<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// reviving lets a swap create what is absent.
func reviving(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		look := httptest.NewRecorder()
		next.ServeHTTP(look, httptest.NewRequestWithContext(r.Context(), http.MethodHead, r.URL.String(), nil))
		if r.Method == http.MethodPut && look.Code == http.StatusNotFound {
			r.Header.Del("If-Match")
		}
		next.ServeHTTP(w, r)
	})
}

// behindTheWrites serves reads of the first state that the probe's object had.
func behindTheWrites(next http.Handler) http.Handler {
	var mu sync.Mutex
	var first []byte
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case !strings.Contains(r.URL.Path, "probe"):
		case r.Method == http.MethodPut && first == nil:
			first, _ = io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(first))
		case r.Method == http.MethodGet:
			w.Header().Set("ETag", `"old"`)
			_, _ = w.Write(first)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refusing says that it does not implement conditions.
func refusing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-Match") != "" {
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusNotImplemented)
			_, _ = io.WriteString(w, `<Error><Code>NotImplemented</Code><Message>If-Match</Message></Error>`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func etag(value string) func(http.Handler) http.Handler {
	return altered(func(_ *http.Request, answer *httptest.ResponseRecorder) {
		if answer.Header().Get("ETag") != "" {
			answer.Header().Set("ETag", value)
		}
	})
}

// TestServersThatBreakAPromiseAreRefused opens, with the product's own front door, a server that lacks one thing. No job is created there,
// and the error says what is missing.
func TestServersThatBreakAPromiseAreRefused(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", keyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	for name, c := range map[string]struct {
		wrap func(http.Handler) http.Handler
		want string // empty: it is taken
	}{
		"whole":                     {nil, ""},
		"create-if-absent ignored":  {without("If-None-Match"), "lacks create-if-absent"},
		"compare-and-swap ignored":  {without("If-Match"), "lacks compare-and-swap"},
		"not implemented":           {refusing, "lacks compare-and-swap"},
		"a swap revives":            {reviving, "lacks compare-and-swap"},
		"an ETag that stays":        {etag(`"same"`), "lacks compare-and-swap"},
		"an ETag that is weak":      {etag(`W/"weak"`), "carries no version"},
		"reads behind the writes":   {behindTheWrites, "lacks read-after-write consistency"},
		"listings behind writes":    {emptyListings, "lacks list-after-write consistency"},
		"listings behind deletions": {cachedListings(), "lacks list-after-write consistency"},
	} {
		t.Run(name, func(t *testing.T) {
			at := fake(t, c.wrap)
			for verb, create := range map[string]func(*checkpoint.Store) error{
				"save": func(s *checkpoint.Store) error {
					_, err := s.Save(t.Context(), "job", func(w *checkpoint.Writer) error { return nil }, nil)
					return err
				},
				"acquire": func(s *checkpoint.Store) error {
					o, err := s.Acquire(t.Context(), "other", nil)
					if err == nil {
						err = o.Close()
					}
					return err
				},
			} {
				s, err := checkpoint.Open(t.Context(), "s3://acme/flows?endpoint="+url.QueryEscape(at.Endpoint), &checkpoint.Options{RetryFor: time.Second})
				if err != nil {
					t.Fatal(err)
				}
				err = create(s)
				switch {
				case c.want == "" && err != nil:
					t.Errorf("%s: %v", verb, err)
				case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
					t.Errorf("%s: %v, want %q", verb, err, c.want)
				case strings.HasPrefix(c.want, "lacks") && !errors.Is(err, checkpoint.ErrUnsupported):
					t.Errorf("%s: %v is not ErrUnsupported", verb, err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
