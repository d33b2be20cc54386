package emulator

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A value of the tree is a directory, an array of directories, or a leaf: a string, a number or a list of strings.
type (
	directory = map[string]any
	array     = []any
)

// valueTree is everything the metadata server knows except tokens.
type valueTree struct {
	mu      sync.RWMutex
	root    directory
	changed chan struct{} // closed and replaced by every set
}

func newValueTree(o MetadataOptions) *valueTree {
	const number = int64(123456789012)
	attributes := directory{}
	for name, value := range o.Attributes {
		attributes[name] = value
	}
	account := directory{"aliases": []string{"default"}, "email": o.Account, "scopes": o.Scopes}
	return &valueTree{changed: make(chan struct{}), root: directory{
		"instance": directory{
			"attributes":        attributes,
			"cpu-platform":      "AMD Milan",
			"description":       "",
			"disks":             array{directory{"device-name": "boot", "index": int64(0), "mode": "READ_WRITE", "type": "PERSISTENT-BALANCED"}},
			"hostname":          "emulator.c." + o.Project + ".internal",
			"id":                int64(5019171234567890123),
			"image":             "projects/debian-cloud/global/images/debian-13",
			"machine-type":      fmt.Sprintf("projects/%d/machineTypes/n2d-standard-2", number),
			"maintenance-event": "NONE",
			"name":              "emulator",
			"network-interfaces": array{directory{
				"access-configs": array{directory{"external-ip": "203.0.113.2", "type": "ONE_TO_ONE_NAT"}},
				"ip":             "10.128.0.2",
				"mac":            "42:01:0a:80:00:02",
				"network":        fmt.Sprintf("projects/%d/networks/default", number),
			}},
			"preempted":        "FALSE",
			"scheduling":       directory{"automatic-restart": "TRUE", "on-host-maintenance": "MIGRATE", "preemptible": "FALSE"},
			"service-accounts": directory{"default": account, o.Account: account},
			"tags":             jsonList{},
			"zone":             fmt.Sprintf("projects/%d/zones/us-central1-a", number),
		},
		"project": directory{
			"attributes":         directory{},
			"numeric-project-id": number,
			"project-id":         o.Project,
		},
		"universe": directory{"universe-domain": "googleapis.com"},
	}}
}

// jsonList is a list that the server prints as JSON even where text is the default, as instance/tags.
type jsonList []string

func (t *valueTree) set(path, value string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	dir := t.root
	names := strings.Split(strings.Trim(path, "/"), "/")
	for _, name := range names[:len(names)-1] {
		next, ok := dir[name].(directory)
		if !ok {
			next = directory{}
			dir[name] = next
		}
		dir = next
	}
	dir[names[len(names)-1]] = value
	close(t.changed)
	t.changed = make(chan struct{})
}

// rendered is one value as it goes out.
type rendered struct {
	body        []byte
	contentType string
	etag        string
	redirect    bool // a directory that was asked for without its slash
}

// render looks path up, and returns what to wait on for another answer. A nil result means: no such value.
func (t *valueTree) render(path string, query url.Values) (*rendered, <-chan struct{}) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var value any = t.root
	var last string
	for name := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		if name == "" {
			continue
		}
		if value, last = child(value, name), name; value == nil {
			return nil, t.changed
		}
	}
	isDir := isDirectory(value)
	recursive := strings.EqualFold(query.Get("recursive"), "true")
	slash := path == "" || strings.HasSuffix(path, "/")
	switch {
	case !isDir && slash:
		return nil, t.changed
	case isDir && !slash && !recursive:
		return &rendered{redirect: true}, t.changed
	}
	r := &rendered{contentType: "application/text"}
	_, listed := value.(jsonList)
	// A subtree is JSON unless text is asked for; a single value or a listing is text unless JSON is asked for.
	if alt := query.Get("alt"); alt == "json" || (alt == "" && isDir && recursive) || listed {
		r.contentType = "application/json"
		r.body = encodeJSON(value, recursive, last)
	} else {
		var b bytes.Buffer
		writeText(&b, value, recursive, "")
		r.body = b.Bytes()
	}
	sum := fnv.New64a()
	_, _ = sum.Write(r.body)
	r.etag = fmt.Sprintf("%016x", sum.Sum64())
	return r, t.changed
}

func (t *valueTree) serve(w http.ResponseWriter, r *http.Request, path string) {
	query := r.URL.Query()
	wait, last := strings.EqualFold(query.Get("wait_for_change"), "true"), query.Get("last_etag")
	limit := maxWait
	if s, err := strconv.Atoi(query.Get("timeout_sec")); err == nil && s >= 0 {
		limit = min(limit, time.Duration(s)*time.Second)
	}
	timeout := time.NewTimer(limit)
	defer timeout.Stop()

	answer, changed := t.render(path, query)
	if answer != nil && last == "" {
		last = answer.etag // without last_etag the client waits for the next change
	}
	for wait && answer != nil && answer.etag == last {
		select {
		case <-changed:
			answer, changed = t.render(path, query)
		case <-timeout.C:
			wait = false
		case <-r.Context().Done():
			panic(http.ErrAbortHandler) // to return would be to answer 200
		}
	}
	switch {
	case answer == nil:
		htmlError(w, http.StatusNotFound, "")
	case answer.redirect:
		redirectToDirectory(w, r)
	default:
		w.Header().Set("Content-Type", answer.contentType)
		w.Header().Set("Etag", answer.etag)
		_, _ = w.Write(answer.body)
	}
}

func redirectToDirectory(w http.ResponseWriter, r *http.Request) {
	target := url.URL{Path: r.URL.Path + "/", RawQuery: r.URL.RawQuery}
	w.Header().Set("Location", target.String())
	w.WriteHeader(http.StatusMovedPermanently)
}
