package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/checkpoint"
)

// bucketTime bounds the question for a bucket's settings.
const bucketTime = 10 * time.Second

// bucketSettings are what a bucket says of itself in the JSON API, as far as it can cost or lose checkpoints.
type bucketSettings struct {
	StorageClass string `json:"storageClass"`
	Lifecycle    struct {
		Rules []lifecycleRule `json:"rule"`
	} `json:"lifecycle"`
	Retention struct {
		Seconds apiSeconds `json:"retentionPeriod"`
		Locked  bool       `json:"isLocked"`
	} `json:"retentionPolicy"`
	Hold       bool `json:"defaultEventBasedHold"`
	SoftDelete struct {
		Seconds apiSeconds `json:"retentionDurationSeconds"`
	} `json:"softDeletePolicy"`
	Versioning struct {
		Enabled bool `json:"enabled"`
	} `json:"versioning"`
}

// apiSeconds is a number that the JSON API writes as text.
type apiSeconds string

func (s apiSeconds) duration() time.Duration {
	n, _ := strconv.ParseInt(string(s), 10, 32) // absent and nonsense are both "off"
	return time.Duration(n) * time.Second
}

type lifecycleRule struct {
	Action struct {
		Type         string `json:"type"`
		StorageClass string `json:"storageClass"`
	} `json:"action"`
	Condition struct {
		Age                     *int     `json:"age"`
		IsLive                  *bool    `json:"isLive"`
		NumNewerVersions        int      `json:"numNewerVersions"`
		DaysSinceNoncurrentTime *int     `json:"daysSinceNoncurrentTime"`
		NoncurrentTimeBefore    string   `json:"noncurrentTimeBefore"`
		DaysSinceCustomTime     *int     `json:"daysSinceCustomTime"`
		CustomTimeBefore        string   `json:"customTimeBefore"`
		MatchesPrefix           []string `json:"matchesPrefix"`
		MatchesSuffix           []string `json:"matchesSuffix"`
	} `json:"condition"`
}

// reaches reports whether a rule can apply to live objects below a prefix. Custom times are set on none of them.
func (r *lifecycleRule) reaches(prefix string) bool {
	c := &r.Condition
	if c.IsLive != nil && !*c.IsLive || c.NumNewerVersions > 0 || c.DaysSinceNoncurrentTime != nil || c.NoncurrentTimeBefore != "" ||
		c.DaysSinceCustomTime != nil || c.CustomTimeBefore != "" {
		return false
	}
	below := func(p string) bool { return strings.HasPrefix(p, prefix) || strings.HasPrefix(prefix, p) }
	// The names of objects end in HEAD or in hexadecimal digits.
	ending := func(s string) bool {
		return strings.HasSuffix("/HEAD", s) || strings.Trim(s, "-0123456789abcdef") == ""
	}
	return (len(c.MatchesPrefix) == 0 || slices.ContainsFunc(c.MatchesPrefix, below)) &&
		(len(c.MatchesSuffix) == 0 || slices.ContainsFunc(c.MatchesSuffix, ending))
}

// askBucket gets a bucket's settings without its access lists, which would take another permission. Nil with a nil error if
// the check of the store itself says better what is wrong.
func (d *doctor) askBucket(ctx context.Context, client *http.Client) (*bucketSettings, error) {
	ctx, cancel := context.WithTimeout(ctx, bucketTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.apiURL()+"b/"+url.PathEscape(d.target.Host)+
		"?projection=noAcl&fields=storageClass,lifecycle,retentionPolicy,defaultEventBasedHold,softDeletePolicy,versioning", nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil //nolint:nilerr // the same happens to the next requests, whose errors are classified
	}
	defer func() { _ = resp.Body.Close() }()
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusForbidden:
		return nil, errors.New("the account may not look at the bucket's settings (storage.buckets.get)")
	case http.StatusNotFound, http.StatusUnauthorized:
		return nil, nil
	default:
		return nil, fmt.Errorf("the bucket's settings could not be had: HTTP %d", resp.StatusCode)
	}
	const enough = 1 << 20
	body, err := io.ReadAll(io.LimitReader(resp.Body, enough))
	if err != nil {
		return nil, fmt.Errorf("the bucket's settings broke off: %w", err)
	}
	settings := new(bucketSettings)
	if err := json.Unmarshal(body, settings); err != nil {
		return nil, errors.New("the bucket's settings are not the storage API's JSON: is there a proxy in between?")
	}
	return settings, nil
}

// apiURL is where the storage client sends the store's requests.
func (d *doctor) apiURL() string {
	base := d.target.Query().Get("endpoint")
	if base == "" {
		if base = os.Getenv("STORAGE_EMULATOR_HOST"); base == "" {
			base = "https://storage.googleapis.com"
		} else if !strings.Contains(base, "://") {
			base = "http://" + base
		}
	}
	u, err := url.Parse(base)
	if err != nil {
		return base // no request can be made of it, which is then said
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/storage/v1/"
	}
	return strings.TrimSuffix(u.String(), "/") + "/"
}

// frozen reports settings under which an object, once written, cannot be replaced or deleted.
func (s *bucketSettings) frozen() bool { return s.Hold || s.Retention.Seconds.duration() > 0 }

func (d *doctor) checkBucket(ctx context.Context, s *bucketSettings) {
	d.checkLifecycle(ctx, s.Lifecycle.Rules)
	d.checkRetention(ctx, s)
	update := "gcloud storage buckets update gs://" + d.target.Host
	soft := check{Name: "bucket-soft-delete", Detail: "off"}
	if kept := s.SoftDelete.Seconds.duration(); kept > 0 {
		soft.Severity = warning
		soft.Detail = fmt.Sprintf("deleted objects are kept and billed for %s: 100 GiB rewritten every 10 minutes is about $2,000 a month at 7 days, beside $6 of live data", humanDuration(kept))
		soft.Hint = "keep checkpoints in a bucket without it: " + update + " --clear-soft-delete"
	}
	d.add(soft)
	versions := check{Name: "bucket-versioning", Detail: "off"}
	if s.Versioning.Enabled {
		versions.Severity, versions.Detail = warning, "every object that is replaced or deleted stays as an old version, and is billed"
		versions.Hint = "switch it off, or delete old versions by a lifecycle rule (numNewerVersions): " + update + " --no-versioning"
	}
	d.add(versions)
	class := check{Name: "bucket-class", Detail: orElse(s.StorageClass, "not stated")}
	if least := leastDays[s.StorageClass]; least > 0 {
		class.Severity = warning
		class.Detail = fmt.Sprintf("%s bills each object for %d days at least, and each read; checkpoints live for hours", s.StorageClass, least)
		class.Hint = update + " --default-storage-class=STANDARD"
	}
	d.add(class)
}

// leastDays is for how long an object is billed even if it is deleted before: https://cloud.google.com/storage/docs/storage-classes
var leastDays = map[string]int{"NEARLINE": 30, "COLDLINE": 90, "ARCHIVE": 365}

func (d *doctor) checkLifecycle(ctx context.Context, rules []lifecycleRule) {
	const name = "bucket-lifecycle"
	prefix := strings.Trim(d.target.Path, "/")
	if prefix != "" {
		prefix += "/"
	}
	moves := ""
	for _, r := range rules {
		if !r.reaches(prefix) {
			continue
		}
		switch r.Action.Type {
		case "Delete":
			when := ""
			if r.Condition.Age != nil {
				when = fmt.Sprintf(" after %d days", *r.Condition.Age)
			}
			d.fail(ctx, name, &checkpoint.Error{Kind: checkpoint.ErrUnsupported, Op: name,
				Err:  fmt.Errorf("a rule deletes objects of this store%s, whether or not a checkpoint needs them", when),
				Hint: "take the rule off, or bind it to another prefix (matchesPrefix): `tidemark gc` deletes what nothing needs"})
			return
		case "SetStorageClass":
			moves = r.Action.StorageClass
		}
	}
	if moves != "" {
		d.add(check{Name: name, Severity: warning, Detail: "a rule moves objects of this store to " + moves + ", which bills reads and early deletion",
			Hint: "bind the rule to another prefix (matchesPrefix)"})
		return
	}
	d.add(check{Name: name, Detail: "no rule touches the objects of this store"})
}

func (d *doctor) checkRetention(ctx context.Context, s *bucketSettings) {
	const name = "bucket-retention"
	var what, hint string
	switch kept := s.Retention.Seconds.duration(); {
	case kept > 0 && s.Retention.Locked:
		what = fmt.Sprintf("a locked retention policy keeps objects from being replaced or deleted for %s", humanDuration(kept))
		hint = "use another bucket: a lock cannot be taken off"
	case kept > 0:
		what = fmt.Sprintf("a retention policy keeps objects from being replaced or deleted for %s", humanDuration(kept))
		hint = "gcloud storage buckets update gs://" + d.target.Host + " --clear-retention-period"
	case s.Hold:
		what = "new objects are under an event-based hold: none can be replaced or deleted"
		hint = "gcloud storage buckets update gs://" + d.target.Host + " --no-default-event-based-hold"
	default:
		d.add(check{Name: name, Detail: "no retention policy, no default hold"})
		return
	}
	d.fail(ctx, name, &checkpoint.Error{Kind: checkpoint.ErrUnsupported, Op: name,
		Err: errors.New(what + "; a commit replaces one, so nothing was written to try it"), Hint: hint})
}
