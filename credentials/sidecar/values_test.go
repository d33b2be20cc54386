package sidecar_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidemark-go/tidemark/credentials/sidecar"
	"github.com/tidemark-go/tidemark/emulator"
)

func TestValuesAreAskedAsOftenAsTheyChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(&emulator.MetadataOptions{Attributes: map[string]string{"cluster-name": "blue", "colour": "red"}})
		s := start(t, &sidecar.Options{Transport: up})
		for _, tc := range []struct {
			path       string
			asked      int // of five times at once
			afterAHour int // more, of one time then
		}{
			{"project/project-id", 1, 0},
			{"project/numeric-project-id?alt=json", 1, 0},
			{"instance/zone", 1, 0},
			{"instance/attributes/cluster-name", 1, 0},
			{"universe/universe-domain", 1, 0},
			{account + "email", 1, 1},
			{account + "?recursive=true", 1, 1},
			{"instance/service-accounts/", 1, 1},
			{"instance/", 1, 1},
			{"instance", 1, 1},
			{"instance/attributes/colour", 5, 1},
			{"instance/?recursive=true", 5, 1},
			{"instance/preempted", 5, 1},
			{"instance/attributes/none", 5, 1},
			{"instance/zone?strange=1", 5, 1},
		} {
			for range 5 {
				ask(t, s, root+tc.path)
			}
			if n := up.exactly(tc.path); n != tc.asked {
				t.Errorf("%s: asked %d times of 5, want %d", tc.path, n, tc.asked)
			}
			time.Sleep(time.Hour)
			ask(t, s, root+tc.path)
			if n := up.exactly(tc.path) - tc.asked; n != tc.afterAHour {
				t.Errorf("%s: asked %d times after an hour, want %d", tc.path, n, tc.afterAHour)
			}
		}
	})
}

func TestAChangedAccountIsNoticedWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up})
		before := value(t, s, account+"email")
		up.failing(only("/email", says(200, "new@p.iam.gserviceaccount.com")))
		time.Sleep(59 * time.Second)
		if got := value(t, s, account+"email"); got != before {
			t.Errorf("within the minute: %s", got)
		}
		time.Sleep(time.Second)
		if got := value(t, s, account+"email"); got != "new@p.iam.gserviceaccount.com" {
			t.Errorf("after it: %s", got)
		}
	})
}

// TestOutage: tokens and what is known are served whatever the upstream does.
func TestOutage(t *testing.T) {
	huge := strings.Repeat("x", 2<<20)
	for name, how := range map[string]func(*http.Request) func() (*http.Response, error){
		"down":             down,
		"hangs":            hang,
		"503":              says(503, "try later"),
		"a proxy's page":   says(200, "<html>Sign in</html>", "Metadata-Flavor", "", "Content-Type", "text/html"),
		"a page in Google": says(200, "<html>Sign in</html>", "Content-Type", "text/html"),
		"a page untyped":   says(200, "<html>Sign in</html>", "Metadata-Flavor", ""),
		"floods":           says(200, huge),
		"redirects away":   says(302, "", "Location", "http://attacker.example/computeMetadata/v2/"),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				up := newUpstream(&emulator.MetadataOptions{TokenLifetime: 10 * time.Minute})
				s := start(t, &sidecar.Options{Transport: up})
				g, email, zone := token(t, s, ""), value(t, s, account+"email"), value(t, s, "instance/zone")
				identity := value(t, s, account+"identity?audience=a")
				up.failing(how)
				for time.Sleep(8 * time.Minute); g.ExpiresIn > 25; time.Sleep(10 * time.Second) {
					again := token(t, s, "")
					if again.Token != g.Token {
						t.Fatalf("another token: %q", again.Token)
					}
					g = again
					within(t, "an old value", 1100*time.Millisecond, func() {
						if got := value(t, s, account+"email"); got != email {
							t.Errorf("email %q", got)
						}
					})
					if got := value(t, s, "instance/zone"); got != zone {
						t.Errorf("zone %q", got)
					}
					if got := value(t, s, account+"identity?audience=a"); got != identity {
						t.Errorf("another identity token: %.40q", got)
					}
				}
				if !s.Ready() {
					t.Error("not ready with a valid token")
				}
				within(t, "an unknown value", 6*time.Second, func() {
					if r := ask(t, s, root+"project/project-id"); r.status != http.StatusServiceUnavailable || strings.Contains(r.body, "<html>") {
						t.Errorf("an unknown value: %v", r)
					}
				})
				within(t, "a live value", 6*time.Second, func() {
					if r := ask(t, s, root+"instance/preempted"); r.status != http.StatusServiceUnavailable || strings.Contains(r.body, "<html>") {
						t.Errorf("a live value: %v", r)
					}
				})
				time.Sleep(40 * time.Second)
				within(t, "no token", 6*time.Second, func() {
					r := ask(t, s, root+tokenPath)
					if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" || strings.Contains(r.body, "<html>") {
						t.Errorf("past the token's end: %v", r)
					}
				})
				if s.Ready() {
					t.Error("ready without a token")
				}
				if r := ask(t, s, "/"); r.status != http.StatusOK {
					t.Errorf("the probe: %v", r)
				}
				st := s.Stats()
				if st.ServedStale == 0 || st.Failures.Unavailable == 0 || st.Failed == 0 {
					t.Errorf("stats do not tell of the outage: %+v", st)
				}
				up.failing(nil)
				// Of a server that hung, the attempt under way has to end first: the cache allows it 3 s.
				within(t, "recovery", 3500*time.Millisecond, func() { token(t, s, "") })
			})
		})
	}
}

func TestColdStartIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(&emulator.MetadataOptions{NotReadyFor: 3 * time.Second})
		s := start(t, &sidecar.Options{Transport: up})
		if s.Ready() {
			t.Error("ready without a token")
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { token(t, s, "") })
			wg.Go(func() { value(t, s, "project/project-id") })
		}
		within(t, "the start of a pod", 4500*time.Millisecond, wg.Wait)
		if n := up.count("project/project-id"); n > 20 {
			t.Errorf("%d requests for one value", n)
		}
		if st := s.Stats(); st.Coalesced < 90 || !st.Ready {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestWhatIsMissingMayComeSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up})
		const path = "instance/attributes/cluster-name"
		for range 3 {
			if r := ask(t, s, root+path); r.status != http.StatusNotFound {
				t.Fatalf("%v", r)
			}
		}
		if n := up.count(path); n != 1 {
			t.Errorf("asked %d times in a row for what is not there", n)
		}
		up.metadata.Set(path, "blue")
		time.Sleep(5 * time.Second)
		if got := value(t, s, path); got != "blue" {
			t.Errorf("got %q", got)
		}
		// What was missing is not served as an old value when the upstream fails.
		up.failing(only("cluster-uid", says(404, "")))
		ask(t, s, root+"instance/attributes/cluster-uid")
		up.failing(down)
		time.Sleep(6 * time.Second)
		if r := ask(t, s, root+"instance/attributes/cluster-uid"); r.status != http.StatusServiceUnavailable {
			t.Errorf("with the upstream down: %v", r)
		}
	})
}

// TestAHangingUpstreamIsLeftAlone: one client in ten seconds pays a second for the hope of a new answer, not each of them.
func TestAHangingUpstreamIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up})
		value(t, s, account+"email")
		up.failing(hang)
		time.Sleep(time.Hour)
		within(t, "the first", time.Second, func() { value(t, s, account+"email") })
		time.Sleep(5 * time.Second) // now the attempts have ended
		within(t, "all others", 0, func() {
			for range 4 {
				value(t, s, account+"email")
			}
		})
	})
}

func TestAProxysWordsStayThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up})
		up.failing(only("instance/", says(404, "<html>Not here</html>", "Metadata-Flavor", "", "Content-Type", "text/html")))
		if r := ask(t, s, root+"instance/tags"); r.status != 404 || strings.Contains(r.body, "html") || r.header.Get("Content-Type") == "text/html" {
			t.Errorf("a page of a proxy: %v", r)
		}
		up.failing(only("instance/", says(404, "<html>Not here</html>", "Content-Type", "text/html")))
		if r := ask(t, s, root+"instance/disks/"); r.status != 404 || r.body != "<html>Not here</html>" {
			t.Errorf("a page of Google's: %v", r)
		}
	})
}

// TestRedirectsStayHere: the real server names itself in full, and a client that followed would never come back.
func TestRedirectsStayHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up})
		up.failing(only("instance", says(301, "", "Location", "http://metadata.google.internal/computeMetadata/v1/instance/?alt=text")))
		if r := ask(t, s, root+"instance?alt=text"); r.status != 301 || r.header.Get("Location") != "/computeMetadata/v1/instance/?alt=text" {
			t.Errorf("%v to %q", r, r.header.Get("Location"))
		}
	})
}

func TestWaitForChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up, MaxSubscribers: 2, MaxWaiting: 1})
		const path = root + "instance/preempted?wait_for_change=true"
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if r := ask(t, s, path); r.body != "TRUE" || r.header.Get("Etag") == "" {
					t.Errorf("a subscriber got %v", r)
				}
			})
		}
		synctest.Wait()
		within(t, "one subscriber too many", 0, func() {
			if r := ask(t, s, path); r.status != http.StatusTooManyRequests {
				t.Errorf("one too many: %v", r)
			}
		})
		token(t, s, "") // subscribers are in nobody's way
		value(t, s, "instance/id")
		time.Sleep(4 * time.Minute) // the emulator gives up after 5
		up.metadata.Set("instance/preempted", "TRUE")
		wg.Wait()
		if got := value(t, s, "instance/preempted"); got != "TRUE" {
			t.Errorf("a live value after its change: %s", got)
		}
	})
}

func TestWaitingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up, MaxWaiting: 8})
		token(t, s, "")
		up.failing(hang)
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() { ask(t, s, root+tokenPath+fmt.Sprintf("?scopes=s%d", i)) })
		}
		synctest.Wait()
		if n := s.Stats().Waiting; n != 8 {
			t.Fatalf("%d are waiting", n)
		}
		within(t, "what there is no room for, and what needs none", 0, func() {
			for _, path := range []string{tokenPath + "?scopes=x", "instance/zone", "instance/preempted", account + "identity?audience=a"} {
				if r := ask(t, s, root+path); r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") != "1" {
					t.Errorf("%s: %v", path, r)
				}
			}
			token(t, s, "")
		})
		wg.Wait()
		if n := s.Stats().RefusedBy.Overload; n != 4 {
			t.Errorf("%d were counted as shed", n)
		}
	})
}

// TestARenewedTokenNeedsNoSlot is about the first request after a renewal, which the cache serves on a path of its own.
func TestARenewedTokenNeedsNoSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(&emulator.MetadataOptions{ReuseUntil: -1})
		s := start(t, &sidecar.Options{Transport: up, MaxWaiting: 1})
		first := token(t, s, "")
		time.Sleep(57 * time.Minute)
		up.failing(hang)
		var wg sync.WaitGroup
		wg.Go(func() { ask(t, s, root+tokenPath+"?scopes=x") })
		synctest.Wait()
		if g := token(t, s, ""); g.Token == first.Token {
			t.Error("the token was not renewed")
		}
		wg.Wait()
	})
}

func TestConcurrencyUpstreamIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		up := newUpstream(nil)
		s := start(t, &sidecar.Options{Transport: up})
		up.failing(only("attributes", hang))
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() { ask(t, s, fmt.Sprintf("%sinstance/attributes/a%d", root, i)) })
		}
		synctest.Wait()
		if n := up.count("instance/attributes/"); n != 12 {
			t.Errorf("%d requests under way at once", n)
		}
		wg.Wait()
	})
}
