package demo

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// doorTest is a door before a handler that counts what reaches it and answers with status.
type doorTest struct {
	*door
	reached []string
	status  int
}

func newDoorTest() *doorTest {
	d := &doorTest{door: newDoor(), status: http.StatusOK}
	d.inside = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		d.reached = append(d.reached, string(body))
		w.WriteHeader(d.status)
		_, _ = io.WriteString(w, "reply to "+string(body))
	})
	d.serves(1)
	return d
}

const headURL = "/upload/storage/v1/b/demo/o?uploadType=multipart&name=state%2Fdemo%2FHEAD"

// send returns the reply, "" if the connection was cut.
func (d *doorTest) send(ctx context.Context, method, url, body string) (reply string) {
	defer func() {
		if cut := recover(); cut != nil && !errors.Is(cut.(error), http.ErrAbortHandler) {
			panic(cut)
		}
	}()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequestWithContext(ctx, method, url, strings.NewReader(body)))
	return w.Body.String()
}

// sendAndDie sends a commit, and ends its client once it is held.
func (d *doorTest) sendAndDie(t *testing.T, method, url string, hit <-chan struct{}) {
	t.Helper()
	ctx, die := context.WithCancel(t.Context())
	replied := make(chan string, 1)
	go func() { replied <- d.send(ctx, method, url, "commit") }()
	<-hit
	select {
	case r := <-replied:
		t.Errorf("reply %q before the worker was dead", r)
		replied <- ""
	default:
	}
	die()
	if r := <-replied; r != "" {
		t.Errorf("reply %q to a dead worker", r)
	}
}

func TestDoorHoldsOneCommit(t *testing.T) {
	for _, c := range []struct {
		at      moment
		reaches bool
	}{{beforeCommit, false}, {afterCommit, true}} {
		d := newDoorTest()
		hit := d.hold(c.at)
		for _, other := range []struct{ method, url string }{
			{http.MethodGet, "/storage/v1/b/demo/o/state%2Fdemo%2FHEAD?alt=media"},
			{http.MethodPost, "/upload/storage/v1/b/demo/o?name=state%2Fdemo%2Fmanifests%2F1"},
		} {
			if got := d.send(t.Context(), other.method, other.url, "other"); got != "reply to other" {
				t.Errorf("%s: %s %s got %q", c.at, other.method, other.url, got)
			}
		}
		d.reached = nil
		d.sendAndDie(t, http.MethodPost, headURL, hit)
		if reached := len(d.reached) == 1; reached != c.reaches {
			t.Errorf("%s: the store saw %q", c.at, d.reached)
		}
		if got := d.send(t.Context(), http.MethodPost, headURL, "next"); got != "reply to next" {
			t.Errorf("%s: the next commit got %q", c.at, got)
		}
	}
}

// A commit that the store refuses is not the one to kill at.
func TestDoorPassesAFailedCommit(t *testing.T) {
	d := newDoorTest()
	hit := d.hold(afterCommit)
	d.status = http.StatusServiceUnavailable
	if got := d.send(t.Context(), http.MethodPost, headURL, "refused"); got != "reply to refused" {
		t.Errorf("reply %q", got)
	}
	d.status = http.StatusOK
	d.sendAndDie(t, http.MethodPost, headURL, hit)
	if got := strings.Join(d.reached, " "); got != "refused commit" {
		t.Errorf("the store saw %q", got)
	}
}

func TestDoorKnowsCommitsOfTheXMLAPI(t *testing.T) {
	d := newDoorTest()
	d.sendAndDie(t, http.MethodPut, "/demo/state/demo/HEAD", d.hold(beforeCommit))
}

func TestDoorCountsTokensByWorker(t *testing.T) {
	d := newDoor()
	d.accepted("before any worker")
	d.serves(1)
	for _, token := range []string{"a", "a", "b", "a"} {
		d.accepted(token)
	}
	d.serves(2)
	d.accepted("b")
	if one, two := d.lives(1), d.lives(2); one != 2 || two != 1 {
		t.Errorf("%d and %d tokens, want 2 and 1", one, two)
	}
}
