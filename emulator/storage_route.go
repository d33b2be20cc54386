package emulator

import (
	"net/http"
	"net/url"
	"strings"
)

type storageAPI int

const (
	apiJSON storageAPI = iota
	apiXML
)

// call is a request as its URL says it.
type call struct {
	api            storageAPI
	bucket, object string
	toBucket, to   string // where a copy goes
	permission     string // what Identity and Access Management asks for
	query          url.Values
	serve          func(s *Storage, w http.ResponseWriter, r *http.Request, c *call) error
}

// The prefixes of the JSON API. Some clients still call the second for uploads in many requests.
const (
	prefixJSON      = "/storage/v1/"
	prefixUpload    = "/upload/storage/v1/"
	prefixResumable = "/resumable/upload/storage/v1/"
	prefixDownload  = "/download/storage/v1/"
)

// route finds out what a request wants. It never fails: what nobody serves is served a 404.
func route(r *http.Request) *call {
	c := &call{query: r.URL.Query(), permission: "storage.objects.get", serve: serveNothing}
	path := r.URL.EscapedPath()
	for _, prefix := range []string{prefixUpload, prefixResumable} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			c.routeUpload(r.Method, segments(rest))
			return c
		}
	}
	for _, prefix := range []string{prefixJSON, prefixDownload} {
		if rest, ok := strings.CutPrefix(path, prefix); ok {
			c.routeJSON(r.Method, segments(rest))
			return c
		}
	}
	c.routeXML(r.Method, path)
	return c
}

// segments splits a path of the JSON API, where slashes of a name are escaped.
func segments(escaped string) []string {
	parts := strings.Split(strings.TrimSuffix(escaped, "/"), "/")
	for i, part := range parts {
		parts[i] = unescapeName(part)
	}
	return parts
}

func unescapeName(escaped string) string {
	if name, err := url.PathUnescape(escaped); err == nil {
		return name
	}
	return escaped // net/http has parsed the URL before, so it does not come here
}

// routeUpload routes b/{bucket}/o.
func (c *call) routeUpload(method string, parts []string) {
	if len(parts) != 3 || parts[0] != "b" || parts[2] != "o" {
		return
	}
	c.bucket, c.object = parts[1], c.query.Get("name")
	c.permission = "storage.objects.create"
	resumable := c.query.Has("upload_id")
	switch {
	case resumable && (method == http.MethodPut || method == http.MethodPost):
		c.serve = (*Storage).uploadChunk
	case resumable && method == http.MethodDelete:
		c.serve = (*Storage).cancelUpload
	case method != http.MethodPost:
	case c.query.Get("uploadType") == "media":
		c.serve = (*Storage).uploadMedia
	case c.query.Get("uploadType") == "multipart":
		c.serve = (*Storage).uploadMultipart
	case c.query.Get("uploadType") == "resumable":
		c.serve = (*Storage).startUpload
	}
}

// routeJSON routes b, b/{bucket}, b/{bucket}/o and what lies below an object.
func (c *call) routeJSON(method string, parts []string) {
	if parts[0] != "b" {
		return
	}
	if len(parts) > 1 {
		c.bucket = parts[1]
	}
	if len(parts) > 3 {
		c.object = parts[3]
	}
	switch {
	case len(parts) <= 2:
		c.routeBucket(method, len(parts) == 2)
	case parts[2] != "o":
	case len(parts) == 3 && method == http.MethodGet:
		c.permission, c.serve = "storage.objects.list", (*Storage).list
	case len(parts) == 4:
		c.routeObject(method)
	case len(parts) == 5 && parts[4] == "compose" && method == http.MethodPost:
		c.permission, c.serve = "storage.objects.create", (*Storage).compose
	case len(parts) == 9 && parts[5] == "b" && parts[7] == "o" && method == http.MethodPost:
		c.toBucket, c.to = parts[6], parts[8]
		switch parts[4] {
		case "rewriteTo":
			c.permission, c.serve = "storage.objects.create", (*Storage).rewrite
		case "copyTo":
			c.permission, c.serve = "storage.objects.create", (*Storage).copyTo
		}
	}
}

func (c *call) routeBucket(method string, named bool) {
	switch {
	case named && method == http.MethodGet:
		c.permission, c.serve = "storage.buckets.get", (*Storage).getBucket
	case named && method == http.MethodDelete:
		c.permission, c.serve = "storage.buckets.delete", (*Storage).deleteBucket
	case !named && method == http.MethodGet:
		c.permission, c.serve = "storage.buckets.list", (*Storage).listBuckets
	case !named && method == http.MethodPost:
		c.permission, c.serve = "storage.buckets.create", (*Storage).insertBucket
	}
}

func (c *call) routeObject(method string) {
	switch {
	case method == http.MethodGet && c.query.Get("alt") == "media":
		c.serve = (*Storage).read
	case method == http.MethodGet:
		c.serve = (*Storage).getObject
	case method == http.MethodPatch:
		c.permission, c.serve = "storage.objects.update", (*Storage).patchObject
	case method == http.MethodDelete:
		c.permission, c.serve = "storage.objects.delete", (*Storage).deleteObject
	}
}

// routeXML routes /{bucket}/{object}, where slashes of a name may be escaped or not.
func (c *call) routeXML(method, path string) {
	c.api = apiXML
	bucket, object, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	c.bucket, c.object = unescapeName(bucket), unescapeName(object)
	if c.object != "" && (method == http.MethodGet || method == http.MethodHead) {
		c.serve = (*Storage).read
	}
}

func serveNothing(_ *Storage, _ http.ResponseWriter, _ *http.Request, c *call) error {
	return errNoMethod(c.api)
}

// unserved refuses what would change the answer and is not done here: an answer to another question is worse than none.
func (c *call) unserved(r *http.Request) error {
	for _, name := range []string{"matchGlob", "filter", "softDeleted"} {
		if value := c.query.Get(name); value != "" && value != "false" {
			return errInvalid("The emulator does not serve the parameter %s.", name)
		}
	}
	for _, name := range []string{"X-Goog-Encryption-Key", "X-Goog-Copy-Source-Encryption-Key"} {
		if r.Header.Get(name) != "" {
			return errInvalid("The emulator does not encrypt with a customer's key.")
		}
	}
	return nil
}
