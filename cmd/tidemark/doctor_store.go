package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tidemark-go/tidemark/checkpoint"
	"github.com/tidemark-go/tidemark/credentials"
)

// slowStore is more than a store in the same region takes for a small request; a commit waits for two to four in a row.
const slowStore = time.Second

// store checks the store, with token if it is not nil.
func (d *doctor) store(ctx context.Context, storeURL string, token *heldToken) {
	if d.target.Scheme == "file" {
		dir, leave, err := d.directory(filepath.FromSlash(d.target.Path))
		if err != nil {
			d.fail(ctx, "directory", err)
			return
		}
		defer leave()
		storeURL = "file://" + filepath.ToSlash(dir)
	}
	base := http.DefaultTransport.(*http.Transport).Clone()
	defer base.CloseIdleConnections()
	dated := &dateReader{base: base}
	client := &http.Client{Transport: dated}
	if token != nil {
		client.Transport = credentials.Transport(token, dated)
	}
	opts := &checkpoint.Options{HTTPClient: client}
	if d.verbose {
		opts.Logger = slog.New(slog.NewTextHandler(d.err, nil))
	}
	store, err := checkpoint.Open(ctx, storeURL, opts)
	if err != nil {
		d.fail(ctx, "open", err)
		return
	}
	defer func() { _ = store.Close() }() // nothing is pending in it

	var (
		settings  *bucketSettings
		unsettled error
	)
	if d.target.Scheme == "gs" {
		settings, unsettled = d.askBucket(ctx, client)
	}
	for _, f := range store.Check(ctx, &checkpoint.CheckOptions{ReadOnly: settings != nil && settings.frozen()}) {
		d.addFinding(ctx, f)
	}
	switch {
	case ctx.Err() != nil:
		return
	case settings != nil:
		d.checkBucket(ctx, settings)
	case unsettled != nil:
		d.add(check{Name: "bucket-settings", Severity: warning,
			Detail: unsettled.Error() + ": whether lifecycle rules, retention, soft delete or versioning cost or lose data is not known",
			Hint: "grant roles/storage.bucketViewer on the bucket to " + orElse(d.report.Account, "the account") +
				", or look yourself: gcloud storage buckets describe gs://" + d.target.Host})
	}
	if reading := dated.best(); reading.known {
		d.clock("store-clock", "the store's", reading)
	}
}

// mechanisms are what a directory does these things with, which is what its file system has to have.
var mechanisms = map[string]string{"create": " (fsync, hard link)", "create-if-absent": " (hard link)", "compare-and-swap": " (flock, rename)"}

// addFinding takes a finding over, with what the command knows better.
func (d *doctor) addFinding(ctx context.Context, f checkpoint.Finding) {
	c := check{Name: f.Name, Detail: f.Detail}
	if d.target.Scheme == "file" && f.Err == nil && !f.Skipped {
		c.Detail += mechanisms[f.Name]
	}
	switch {
	case f.Skipped:
		c.Severity = skipped
	case f.Err != nil:
		d.fail(ctx, f.Name, d.withRole(f), f.Detail)
		return
	case f.Name == "reach":
		c.Seconds = measured(f.Elapsed)
		c.Detail += " in " + briefly(f.Elapsed) + " in the median"
		if f.Elapsed > slowStore {
			c.Severity, c.Hint = warning, "run near the store: each commit waits for two to four such requests in a row"
		}
	default:
		c.Seconds = measured(f.Elapsed)
	}
	d.add(c)
}

// withRole adds to a refusal by a bucket of Google's the command that grants what is missing.
func (d *doctor) withRole(f checkpoint.Finding) error {
	var refusal *checkpoint.Error
	if !errors.As(f.Err, &refusal) || !errors.Is(refusal.Kind, checkpoint.ErrPermission) || d.target.Scheme != "gs" {
		return f.Err
	}
	own := *refusal
	who := orElse(f.Principal, d.report.Account)
	if strings.Contains(who, "@") {
		member := "user:" + who
		if strings.HasSuffix(who, ".gserviceaccount.com") {
			member = "serviceAccount:" + who
		}
		own.Hint = "grant " + f.Permission + " to " + who + ": gcloud storage buckets add-iam-policy-binding gs://" + d.target.Host +
			" --member=" + member + " --role=roles/storage.objectUser"
	}
	if d.narrow {
		own.Hint = "widen the scopes first (see scopes above); then " + own.Hint
	}
	return &own
}

// dateReader reads the clock of a store off its answers.
type dateReader struct {
	base http.RoundTripper

	mu      sync.Mutex
	reading clockReading
}

func (r *dateReader) RoundTrip(req *http.Request) (*http.Response, error) {
	sent := time.Now()
	resp, err := r.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	reading := readClock(resp.Header, sent, time.Now())
	r.mu.Lock()
	r.reading = r.reading.better(reading)
	r.mu.Unlock()
	return resp, nil
}

func (r *dateReader) best() clockReading {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.reading
}
