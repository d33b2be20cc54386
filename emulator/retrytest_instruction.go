package emulator

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// fewBytes is how much of a reply comes before return-broken-stream breaks it.
const fewBytes = 4

// instruction is one entry of a retry test.
type instruction struct {
	text string
	// strike tells whether the instruction is for r, a request of its method, and what happens to it then.
	strike func(r *http.Request) (Then, bool)
}

// instructionForms are the instructions of storage-testbench for HTTP, each with a strike made of its numbers.
var instructionForms = []struct {
	form   *regexp.Regexp
	strike func(n []int64) func(*http.Request) (Then, bool)
}{
	{regexp.MustCompile(`^return-([2-5]\d\d)$`), func(n []int64) func(*http.Request) (Then, bool) {
		return always(Then{Effect: EffectStatus, Status: int(n[0])})
	}},
	{regexp.MustCompile(`^return-reset-connection$`), func([]int64) func(*http.Request) (Then, bool) {
		return always(Then{Effect: EffectReset})
	}},
	{regexp.MustCompile(`^return-([2-5]\d\d)-after-(\d{1,9})K$`), func(n []int64) func(*http.Request) (Then, bool) {
		return uploaded(n[1]<<10, Then{Effect: EffectBreakRequest, Status: int(n[0])})
	}},
	{regexp.MustCompile(`^return-broken-stream$`), func([]int64) func(*http.Request) (Then, bool) {
		return always(Then{Effect: EffectBreak, Bytes: fewBytes})
	}},
	{regexp.MustCompile(`^return-broken-stream-after-(\d{1,9})K$`), func(n []int64) func(*http.Request) (Then, bool) {
		return downloaded(Then{Effect: EffectBreak, Bytes: n[0] << 10})
	}},
	{regexp.MustCompile(`^return-broken-stream-final-chunk-after-(\d{1,9})B$`), func(n []int64) func(*http.Request) (Then, bool) {
		return completing(Then{Effect: EffectBreak, Bytes: n[0]})
	}},
	{regexp.MustCompile(`^stall-for-(\d{1,6})s-after-(\d{1,9})K$`), func(n []int64) func(*http.Request) (Then, bool) {
		t := time.Duration(max(1, n[0])) * time.Second
		reading := downloaded(Then{Effect: EffectStall, For: t, Bytes: n[1] << 10})
		writing := uploaded(n[1]<<10, Then{Effect: EffectStallRequest, For: t})
		return func(r *http.Request) (Then, bool) {
			if then, ok := reading(r); ok {
				return then, true
			}
			return writing(r)
		}
	}},
}

func parseInstruction(text string) (instruction, error) {
	for _, f := range instructionForms {
		match := f.form.FindStringSubmatch(text)
		if match == nil {
			continue
		}
		var numbers []int64
		for _, digits := range match[1:] {
			n, _ := strconv.ParseInt(digits, 10, 64) // the form leaves nothing that can fail
			numbers = append(numbers, n)
		}
		return instruction{text, f.strike(numbers)}, nil
	}
	return instruction{}, fmt.Errorf("%q is no instruction for HTTP that the emulator knows", text)
}

func always(then Then) func(*http.Request) (Then, bool) {
	return func(*http.Request) (Then, bool) { return then, true }
}

// downloaded is for requests that read an object's bytes.
func downloaded(then Then) func(*http.Request) (Then, bool) {
	return func(r *http.Request) (Then, bool) { return then, classify(r).op == OpRead }
}

// uploaded is for the request of a resumable upload that brings the object's byte before offset at, or a later one.
func uploaded(at int64, then Then) func(*http.Request) (Then, bool) {
	return func(r *http.Request) (Then, bool) {
		rng, ok := chunk(r)
		then.Bytes = max(0, at-rng.first)
		return then, ok && rng.first+rng.size >= at
	}
}

// completing is for the request of a resumable upload that brings the object's last byte.
func completing(then Then) func(*http.Request) (Then, bool) {
	return func(r *http.Request) (Then, bool) {
		rng, ok := chunk(r)
		return then, ok && rng.first+rng.size == rng.total
	}
}

// chunk reads which bytes r brings to a resumable upload; false if it brings none, or does not say how many.
func chunk(r *http.Request) (chunkRange, bool) {
	if classify(r).op != OpChunk {
		return chunkRange{}, false
	}
	rng, err := parseChunkRange(r)
	return rng, err == nil && rng.size > 0
}

// apiMethods are the methods of the JSON API that retry tests can be for, with the requests that are taken for them:
// reads through the XML API count as the method that does the same.
var apiMethods = []struct {
	name string
	op   Op
	http string // any if empty
	verb string // in the path; any if empty
}{
	{"storage.buckets.delete", OpAdmin, http.MethodDelete, ""},
	{"storage.buckets.get", OpBucket, "", ""},
	{"storage.buckets.insert", OpAdmin, http.MethodPost, ""},
	{"storage.buckets.list", OpAdmin, http.MethodGet, ""},
	{"storage.objects.compose", OpCompose, "", ""},
	{"storage.objects.copy", OpCopy, "", "/copyTo/"},
	{"storage.objects.delete", OpDelete, "", ""},
	{"storage.objects.get", OpRead, "", ""},
	{"storage.objects.get", OpStat, "", ""},
	{"storage.objects.insert", OpInsert, "", ""},
	{"storage.objects.insert", OpChunk, "", ""},
	{"storage.objects.list", OpList, "", ""},
	{"storage.objects.patch", OpPatch, http.MethodPatch, ""},
	{"storage.objects.rewrite", OpCopy, "", "/rewriteTo/"},
}

func servedMethod(name string) bool {
	for _, m := range apiMethods {
		if m.name == name {
			return true
		}
	}
	return false
}

// apiMethod is the method of the JSON API that r calls; empty if no retry test can be for it.
func apiMethod(r *http.Request) string {
	op := classify(r).op
	for _, m := range apiMethods {
		if m.op == op && (m.http == "" || m.http == r.Method) && strings.Contains(r.URL.EscapedPath(), m.verb) {
			return m.name
		}
	}
	return ""
}
