package checkpoint

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/filestore"
	"github.com/tidemark-go/tidemark/internal/objstore/memstore"
)

// CheckOptions tune Check. The zero value, and nil, work.
type CheckOptions struct {
	// ReadOnly writes nothing: for a store that would not let the probe object be deleted again.
	ReadOnly bool
	// Timeout bounds each check. Default 10 s.
	Timeout time.Duration
}

// checkTimeout is what a healthy store needs a hundredth of; one that takes longer stalls every checkpoint.
const checkTimeout = 10 * time.Second

// Finding is the outcome of one check.
type Finding struct {
	Name    string        // "reach", "bucket" (of a store in one), "create", "create-if-absent", "compare-and-swap", "read", "list", "delete"
	Detail  string        // what was seen
	Err     error         // nil if all is right; an *Error has the remedy in its Hint
	Skipped bool          // not tried because of an earlier finding, which Detail names
	Elapsed time.Duration // that requests took; the median of three for "reach"
	// Permission and Principal are what an error of kind ErrPermission lacks, the second only if the store says it.
	Permission, Principal string
}

// Check tries out, one after the other, everything that jobs need of the store, on an object of its own named
// .tidemark-probe-… that it deletes again. It touches no job, and makes one attempt of each request (a store that asks for
// fewer requests is waited for): what it reports is what happened. Findings come in a fixed order; those that ctx left no time for are missing.
func (s *Store) Check(ctx context.Context, opts *CheckOptions) []Finding {
	c := &checker{store: s, key: ".tidemark-probe-" + rand.Text(), timeout: checkTimeout}
	readOnly := false
	if opts != nil {
		readOnly = opts.ReadOnly
		if opts.Timeout > 0 {
			c.timeout = opts.Timeout
		}
	}
	defer c.cleanUp(ctx)
	for _, step := range []struct {
		name, permission string
		needs            string
		writes           bool
		do               func(context.Context) (string, error)
	}{
		{"reach", "", "", false, c.reach},
		{"bucket", "", "reach", false, c.bucket},
		{"create", "storage.objects.create", "bucket", true, c.create},
		{"create-if-absent", "storage.objects.create", "create", true, c.createIfAbsent},
		// Replacing an object takes the permission to delete the old one.
		{"compare-and-swap", "storage.objects.delete", "create", true, c.swap},
		{"read", "storage.objects.get", "bucket", false, c.read},
		{"list", "storage.objects.list", "bucket", false, c.list},
		{"delete", "storage.objects.delete", "bucket", true, c.delete},
	} {
		switch {
		case ctx.Err() != nil:
			return c.findings
		case step.name == "bucket" && !c.inBucket(), step.writes && readOnly:
			continue
		}
		if missing := c.missing(step.needs); missing != "" {
			c.findings = append(c.findings, Finding{Name: step.name, Skipped: true, Detail: "not tried: " + missing + " failed"})
			continue
		}
		c.run(ctx, step.name, step.permission, step.do)
	}
	return c.findings
}

// checker is one run of Check.
type checker struct {
	store    *Store
	key      string
	timeout  time.Duration
	findings []Finding

	version objstore.Version // of the probe object; Absent if there is none that we know of
	body    string
	wrote   bool          // a creation was tried: there may be an object
	gone    bool          // and it was deleted
	waited  time.Duration // of the present step, not spent in requests
	latency time.Duration
	noSuch  error // why there is no bucket
}

func (c *checker) inBucket() bool {
	switch c.store.raw.(type) {
	case *filestore.Store, *memstore.Store:
		return false
	}
	return true
}

// google reports whether the names of permissions and roles are Google's.
func (c *checker) google() bool { return strings.HasPrefix(c.store.String(), "gs://") }

// missing is the check that failed, of the one that is needed and those before it.
func (c *checker) missing(needed string) string {
	chain := map[string][]string{"reach": {"reach"}, "bucket": {"reach", "bucket"}, "create": {"reach", "bucket", "create"}}
	for _, f := range c.findings {
		if (f.Err != nil || f.Skipped) && slices.Contains(chain[needed], f.Name) {
			return f.Name
		}
	}
	return ""
}

func (c *checker) run(ctx context.Context, name, permission string, do func(context.Context) (string, error)) {
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %s", c.timeout))
	defer cancel()
	c.waited, c.latency = 0, 0
	start := time.Now()
	detail, err := do(ctx)
	f := Finding{Name: name, Detail: detail, Elapsed: time.Since(start) - c.waited}
	if c.latency > 0 {
		f.Elapsed = c.latency
	}
	if err != nil {
		c.explain(&f, err, permission)
	}
	c.findings = append(c.findings, f)
}

// cleanUp deletes the probe object of a run that was cut short, for as long as somebody who pressed Ctrl-C waits.
func (c *checker) cleanUp(ctx context.Context) {
	if !c.wrote || c.gone || ctx.Err() == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 500*time.Millisecond)
	defer cancel()
	if err := c.store.raw.Delete(ctx, c.key); err != nil {
		c.store.opts.Logger.Warn("the probe object may remain", "store", c.store.String(), "object", c.key, "error", err)
	}
}

// kept matches what GCS says, with status 403, of an object that nobody may change or delete yet.
var kept = regexp.MustCompile(`(?i)retention policy|object retention|under active \S+ hold`)

// explain makes a finding of a failure: its kind, what to grant to whom, what to do.
func (c *checker) explain(f *Finding, err error, permission string) {
	f.Err, f.Detail = wrap(err, "check", "", 0), err.Error()
	var e *Error
	if !errors.As(f.Err, &e) {
		return
	}
	switch {
	case errors.Is(e.Kind, ErrPermission) && kept.MatchString(err.Error()):
		e.Kind, e.Hint = ErrUnsupported, "take retention policies and holds off the bucket: a commit replaces an object"
	case errors.Is(e.Kind, ErrPermission):
		var refusal *objstore.Error
		if errors.As(err, &refusal) {
			f.Permission, f.Principal = refusal.Permission, refusal.Principal
		}
		if f.Permission == "" && c.google() {
			f.Permission = permission
		}
		e.Hint = c.grant(f)
	case errors.Is(e.Kind, ErrCredentials) && !c.google():
		e.Hint = "give keys that are valid at this endpoint, in the environment, a profile or a role"
	case errors.Is(e.Kind, ErrInvalid) && f.Name == "bucket":
		e.Hint = "create the bucket, or correct the store's URL"
	case errors.Is(e.Kind, ErrUnsupported):
		e.Hint = c.otherStore()
	}
}

func (c *checker) grant(f *Finding) string {
	who := f.Principal
	if who == "" {
		who = "the job's account"
	}
	switch {
	case !c.inBucket():
		return "let this user read, write and search the directory and everything in it"
	case !c.google():
		return fmt.Sprintf("let %s read, list, create, replace and delete the bucket's objects", who)
	}
	return fmt.Sprintf("grant %s to %s: the role roles/storage.objectUser on the bucket has all that tidemark needs", f.Permission, who)
}

func (c *checker) otherStore() string {
	if _, plain := c.store.raw.(*filestore.Store); plain {
		return "use a local file system with hard links, flock and rename, or an object store"
	}
	return "see who answers for this store, or use another: here two owners of a job could both believe that they committed"
}
