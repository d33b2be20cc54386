package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/checkpoint"
	"github.com/tidemark-go/tidemark/credentials"
)

const (
	// tokenTime bounds the wait for a token; a throttled metadata server has been seen to take 5 s, programs take longer.
	tokenTime = 15 * time.Second
	// startingTime is how long a source that fails at once may only be starting, as with a new pod.
	startingTime = 5 * time.Second
	// eagerClients ask for a new token when this much is left: the widest window that is in use.
	eagerClients = 5 * time.Minute
)

// heldToken is the one token of a run. It is never replaced: a refusal of it is a finding.
type heldToken struct {
	*credentials.Token
	account string
}

func (h *heldToken) Get(context.Context) (*credentials.Token, error) { return h.Token, nil }
func (h *heldToken) Invalidate(*credentials.Token)                   {}
func (h *heldToken) Account(context.Context) (string, error)         { return h.account, nil }

// credentials goes from the environment to a token; nil if there is none.
func (d *doctor) credentials(ctx context.Context) *heldToken {
	d.emulatorHost()
	found := d.source(ctx)
	if found == nil {
		return nil
	}
	if found.Name == "metadata" {
		d.metadata = newMetadataServer()
		d.metadataHost()
	}
	d.proxies()
	if d.metadata != nil {
		d.metadataLatency(ctx)
	}
	token := d.token(ctx, found.Source)
	if token == nil {
		return nil
	}
	d.account(ctx, found.Source, token)
	d.checkScopes(ctx)
	d.expiry(token)
	if d.metadata != nil {
		d.repeats(ctx, found.Source, token)
	}
	return &heldToken{token, d.report.Account}
}

func (d *doctor) source(ctx context.Context) *credentials.Found {
	const name = "source"
	found, err := credentials.Find(ctx, &credentials.FindOptions{Scopes: d.wanted()})
	if failed, ok := errors.AsType[*credentials.FindError](err); ok && len(failed.Tried) > 0 {
		d.report.Tried = append(d.report.Tried, failed.Tried...)
		last := failed.Tried[len(failed.Tried)-1]
		d.fail(ctx, name, err, fmt.Sprintf("no credentials after %s; the last: %s: %s", plural(len(failed.Tried), "source"), last.Source, last.Reason))
		d.printTried()
		return nil
	}
	if err != nil {
		d.fail(ctx, name, err)
		return nil
	}
	d.report.Source = found.Name
	d.report.Tried = append(d.report.Tried, found.Tried...)
	detail := found.Name
	if n, ok := found.Source.(credentials.Namer); ok && n.Name() != found.Name {
		detail += ": " + n.Name()
	}
	d.add(check{Name: name, Detail: detail})
	d.printTried()
	return found
}

func (d *doctor) printTried() {
	if d.json {
		return
	}
	for _, attempt := range d.report.Tried {
		_ = d.printf("      passed over %s: %s\n", attempt.Source, oneLine(attempt.Reason))
	}
}

func (d *doctor) account(ctx context.Context, src credentials.Source, token *credentials.Token) {
	const name, patience = "account", 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if d.report.Account = token.Account(); d.report.Account == "" {
		d.report.Account = credentials.AccountOf(ctx, src)
	}
	switch {
	case d.report.Account != "":
		d.add(check{Name: name, Detail: d.report.Account})
	case d.metadata != nil:
		d.add(check{Name: name, Severity: warning, Detail: "the metadata server does not say for whom its tokens are",
			Hint: "see that a service account is attached to this machine or pod"})
	default:
		d.add(check{Name: name, Detail: "the source does not say for whom its tokens are"})
	}
}

// scopesForWriting each allow all that a store needs.
var scopesForWriting = map[string]bool{"cloud-platform": true, "devstorage.full_control": true, "devstorage.read_write": true}

func allowWriting(scopes []string) bool {
	for _, scope := range scopes {
		if scopesForWriting[shortScope(scope)] {
			return true
		}
	}
	return false
}

func shortScope(scope string) string {
	return strings.TrimPrefix(scope, "https://www.googleapis.com/auth/")
}

func shortScopes(scopes []string) string {
	short := make([]string, len(scopes))
	for i, scope := range scopes {
		short[i] = shortScope(scope)
	}
	return strings.Join(short, ", ")
}

// checkScopes judges what was asked for, and what a machine was given, which limits what it gets whatever it asks for.
func (d *doctor) checkScopes(ctx context.Context) {
	const name = "scopes"
	asked := d.wanted()
	if !allowWriting(asked) {
		d.tooNarrow(ctx, "asked for "+shortScopes(asked)+", which does not allow writing", "ask for devstorage.read_write, or leave --scopes out")
		return
	}
	if d.metadata == nil {
		d.add(check{Name: name, Detail: "asked for " + shortScopes(asked) + "; what the account may do is for its roles to say"})
		return
	}
	a, err := d.metadata.ask(ctx, "instance/service-accounts/default/scopes")
	if err == nil && (a.status != http.StatusOK || !a.google) {
		err = fmt.Errorf("metadata server %s: HTTP %d", d.metadata.host, a.status)
	}
	if err != nil {
		d.add(check{Name: name, Severity: warning, Detail: "the metadata server does not say which scopes it grants: " + oneLine(err.Error()),
			Hint: "try the token out: `tidemark doctor STORE`"})
		return
	}
	granted := strings.Fields(a.body)
	if !allowWriting(granted) {
		d.tooNarrow(ctx, "this machine was given "+orElse(shortScopes(granted), "none")+", which does not allow writing to a bucket",
			"give it the scope cloud-platform, and let roles decide: gcloud compute instances set-service-account INSTANCE --scopes=cloud-platform (stopped), or a new GKE node pool")
		return
	}
	d.add(check{Name: name, Detail: "granted " + shortScopes(granted) + ": enough to read and write"})
}

// tooNarrow is a warning where the store itself will be asked in a moment.
func (d *doctor) tooNarrow(ctx context.Context, detail, hint string) {
	d.narrow = true
	if d.target != nil {
		d.add(check{Name: "scopes", Severity: warning, Detail: detail, Hint: hint})
		return
	}
	d.fail(ctx, "scopes", &checkpoint.Error{Kind: checkpoint.ErrPermission, Op: "scopes", Err: errors.New(detail), Hint: hint})
}

// token asks the source itself, and not by a cache, so that it is known how often it is asked.
func (d *doctor) token(ctx context.Context, src credentials.Source) *credentials.Token {
	const name = "token"
	start := time.Now()
	token, attempts, err := fetchToken(ctx, src)
	if err != nil {
		d.fail(ctx, name, err)
		return nil
	}
	c := check{Name: name, Detail: "received in " + briefly(time.Since(start)), Seconds: measured(time.Since(start))}
	if attempts > 1 {
		c.Severity = warning
		c.Detail = fmt.Sprintf("received after %d attempts in %s", attempts, briefly(time.Since(start)))
		c.Hint = "the source was starting or is overloaded: use clients that wait for it, as tidemark does"
	}
	d.add(c)
	return token
}

func fetchToken(parent context.Context, src credentials.Source) (token *credentials.Token, attempts int, err error) {
	ctx, cancel := context.WithTimeout(parent, tokenTime)
	defer cancel()
	start := time.Now()
	for pause := 250 * time.Millisecond; ; pause *= 2 {
		token, err = src.Fetch(ctx)
		attempts++
		if err == nil || !errors.Is(err, credentials.ErrUnavailable) || time.Since(start)+pause > startingTime {
			break
		}
		select {
		case <-time.After(pause):
			continue
		case <-ctx.Done():
		}
		break
	}
	if e, ok := errors.AsType[*credentials.Error](err); ok {
		own := *e
		own.Attempts, own.Elapsed = attempts, time.Since(start)
		if errors.Is(own.Err, context.DeadlineExceeded) {
			own.Err = errors.New("no answer in time")
		}
		err = &own
	}
	return token, attempts, err
}

// googleLife is how long Google's access tokens live.
const googleLife = time.Hour

func (d *doctor) expiry(token *credentials.Token) {
	const name = "expiry"
	at := token.Expiry()
	if at.IsZero() {
		d.add(check{Name: name, Detail: "nobody knows when this token expires"})
		return
	}
	left := time.Until(at)
	c := check{Name: name, Seconds: measured(left.Round(time.Second)),
		Detail: fmt.Sprintf("valid for %s, until %s", humanDuration(left), at.UTC().Format(time.RFC3339))}
	if age := googleLife - left; d.metadata != nil && age > time.Minute && age < googleLife {
		c.Detail += fmt.Sprintf("; last refreshed by the server %s ago, if it lives an hour in all", humanDuration(age))
	}
	d.add(c)
}

// repeats asks a second time, and never a third.
func (d *doctor) repeats(ctx context.Context, src credentials.Source, first *credentials.Token) {
	const name = "repeats"
	const remedy = "use clients that learn, as tidemark's do; for other programs run `tidemark metadata serve` and set GCE_METADATA_HOST"
	own, cancel := context.WithTimeout(ctx, tokenTime)
	defer cancel()
	second, err := src.Fetch(own)
	if err != nil {
		d.add(check{Name: name, Severity: warning, Detail: "a second request right after the first failed: " + describe(ctx, err).Message, Hint: remedy})
		return
	}
	left := time.Until(second.Expiry())
	switch {
	case first.Value() != second.Value():
		d.add(check{Name: name, Detail: "every request brings a new token: harmless for clients that keep it"})
	case left <= eagerClients:
		d.add(check{Name: name, Severity: warning, Hint: remedy,
			Detail: fmt.Sprintf("the same token again, with %s left: a client whose refresh begins earlier (5 min is common, Google's Go library takes 225 s) asks on every call", humanDuration(left))})
	default:
		d.add(check{Name: name, Detail: "the same token again, as usual; a client that refreshes before the server renews will ask on every call, tidemark's learns when that is"})
	}
}
