package emulator

import (
	"net/http"
	"net/url"
	"strings"
)

// Op is what a storage request does, whichever API it came through.
type Op string

// The operations that faults match and the request log counts.
const (
	OpInsert  Op = "insert"  // an upload in one request, or the start of a resumable one
	OpChunk   Op = "chunk"   // a part of a resumable upload, or a question about it
	OpRead    Op = "read"    // bytes of an object
	OpStat    Op = "stat"    // attributes of an object
	OpList    Op = "list"    // one page of a listing
	OpDelete  Op = "delete"  // an object
	OpPatch   Op = "patch"   // attributes of an object
	OpCompose Op = "compose" // several objects into one
	OpCopy    Op = "copy"    // rewrite and copy
	OpBucket  Op = "bucket"  // reading a bucket's attributes
	OpAdmin   Op = "admin"   // listing, creating, changing or deleting buckets
	OpOther   Op = "other"
)

// Class is how a request is billed.
type Class string

// The classes of Google Cloud Storage.
const (
	ClassA    Class = "A" // writes and listings
	ClassB    Class = "B" // reads
	ClassFree Class = "free"
)

// Class tells how op is billed. The parts of a resumable upload are free: its start is what costs.
func (op Op) Class() Class {
	switch op {
	case OpInsert, OpList, OpPatch, OpCompose, OpCopy, OpAdmin:
		return ClassA
	case OpRead, OpStat, OpBucket:
		return ClassB
	}
	return ClassFree
}

func (op Op) valid() bool {
	switch op {
	case OpInsert, OpChunk, OpRead, OpStat, OpList, OpDelete, OpPatch, OpCompose, OpCopy, OpBucket, OpAdmin, OpOther:
		return true
	}
	return false
}

// target is what a storage request is about.
type target struct {
	op             Op
	bucket, object string // the object's name where the URL has it
}

// classify reads a storage request's URL: the JSON API, its upload paths, and the XML API in path style.
func classify(r *http.Request) target {
	path := r.URL.EscapedPath()
	if path == pathBatch {
		return target{op: OpDelete} // what batches are for; other calls in them are counted as that too
	}
	if rest, ok := strings.CutPrefix(path, "/upload/storage/v1/b/"); ok {
		return classifyUpload(r, rest)
	}
	if rest, ok := strings.CutPrefix(path, "/resumable/upload/storage/v1/b/"); ok {
		return classifyUpload(r, rest)
	}
	if rest, ok := strings.CutPrefix(path, "/download/storage/v1/b/"); ok {
		return classifyJSON(r, rest)
	}
	if rest, ok := strings.CutPrefix(path, "/storage/v1/b"); ok && (rest == "" || rest[0] == '/') {
		if rest = strings.Trim(rest, "/"); rest == "" {
			return target{op: OpAdmin}
		}
		return classifyJSON(r, rest)
	}
	return classifyXML(r, strings.TrimPrefix(path, "/"))
}

func classifyUpload(r *http.Request, rest string) target {
	query := r.URL.Query()
	bucket, _, _ := strings.Cut(rest, "/")
	t := target{op: OpInsert, bucket: unescape(bucket), object: query.Get("name")}
	if query.Has("upload_id") {
		t.op = OpChunk
	}
	return t
}

func classifyJSON(r *http.Request, rest string) target {
	bucket, rest, _ := strings.Cut(rest, "/")
	t := target{bucket: unescape(bucket), op: OpOther}
	kind, object, _ := strings.Cut(rest, "/")
	switch {
	case kind == "" || kind == "storageLayout":
		t.op = OpAdmin
		if r.Method == http.MethodGet {
			t.op = OpBucket
		}
		return t
	case kind != "o":
		return t
	case object == "":
		if r.Method == http.MethodGet {
			t.op = OpList
		}
		return t
	}
	// Clients escape the slashes of an object's name, so what follows a bare slash is a verb, if it is a known one.
	name, verb, _ := strings.Cut(object, "/")
	verb, _, _ = strings.Cut(verb, "/")
	t.object = unescape(name)
	switch verb {
	case "compose":
		t.op = OpCompose
		return t
	case "rewriteTo", "copyTo", "moveTo":
		t.op = OpCopy
		return t
	case "restore":
		t.op = OpPatch
		return t
	case "acl":
		return t
	}
	t.object = unescape(object)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		t.op = OpStat
		if r.URL.Query().Get("alt") == "media" {
			t.op = OpRead
		}
	case http.MethodDelete:
		t.op = OpDelete
	case http.MethodPatch, http.MethodPut, http.MethodPost: // POST with X-HTTP-Method-Override
		t.op = OpPatch
	}
	return t
}

func classifyXML(r *http.Request, path string) target {
	bucket, object, _ := strings.Cut(path, "/")
	t := target{bucket: unescape(bucket), object: unescape(object), op: OpOther}
	switch {
	case bucket == "":
		t.op = OpAdmin
	case object == "":
		t.op = OpAdmin
		switch {
		case r.Method == http.MethodGet:
			t.op = OpList
		case r.Method == http.MethodPost && r.URL.Query().Has("delete"):
			t.op = OpDelete
		}
	case r.URL.Query().Has("upload_id"), r.URL.Query().Has("uploadId") && r.Method == http.MethodPut:
		t.op = OpChunk
	case r.Method == http.MethodGet:
		t.op = OpRead
	case r.Method == http.MethodHead:
		t.op = OpStat
	case r.Method == http.MethodPut && (r.Header.Get("X-Goog-Copy-Source") != "" || r.Header.Get("X-Amz-Copy-Source") != ""):
		t.op = OpCopy
	case r.Method == http.MethodPut || r.Method == http.MethodPost:
		t.op = OpInsert
	case r.Method == http.MethodDelete:
		t.op = OpDelete
	}
	return t
}

func unescape(s string) string {
	if u, err := url.PathUnescape(s); err == nil {
		return u
	}
	return s
}
