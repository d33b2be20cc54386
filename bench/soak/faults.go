package soak

import (
	"net/http"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// bucket and root are where the jobs are.
const (
	bucket = "soak"
	root   = "state"
)

// heads, packs are patterns of objects' names.
const (
	heads = root + "/*/HEAD"
	packs = root + "/*/data/**"
)

// sprinkled are faults that befall single requests all the time: each every so many of those that it is for, times rarity. The numbers are primes, so that they do
// not fall in step.
func sprinkled(rarity int) []emulator.Fault {
	every := func(name string, n int, m emulator.Match, t emulator.Then) emulator.Fault {
		m.Server, m.Every = emulator.ServerStorage, n*rarity
		return emulator.Fault{Name: name, Match: m, Then: t}
	}
	all, reads := emulator.Match{}, emulator.Match{Ops: []emulator.Op{emulator.OpRead}}
	writes := emulator.Match{Ops: []emulator.Op{emulator.OpInsert}}
	commits := emulator.Match{Ops: []emulator.Op{emulator.OpInsert}, Object: heads}
	return []emulator.Fault{
		every("503", 89, all, emulator.Then{Effect: emulator.EffectStatus, Status: http.StatusServiceUnavailable}),
		every("500", 173, all, emulator.Then{Effect: emulator.EffectStatus, Status: http.StatusInternalServerError}),
		every("408", 211, all, emulator.Then{Effect: emulator.EffectStatus, Status: http.StatusRequestTimeout}),
		every("429, Retry-After 1 s", 131, all, emulator.Then{Effect: emulator.EffectStatus, Status: http.StatusTooManyRequests, RetryAfter: time.Second}),
		every("502, a page", 97, all, emulator.Then{Effect: emulator.EffectHTML}),
		every("502, a page, write applied", 43, writes, emulator.Then{Effect: emulator.EffectHTML, Apply: true}),
		every("reset", 113, all, emulator.Then{Effect: emulator.EffectReset}),
		every("reset, write applied", 47, writes, emulator.Then{Effect: emulator.EffectReset, Apply: true}),
		every("closed, HEAD written", 23, commits, emulator.Then{Effect: emulator.EffectClose, Apply: true}),
		every("412, HEAD written", 37, commits, emulator.Then{Effect: emulator.EffectStatus, Status: http.StatusPreconditionFailed, Apply: true}),
		every("HEAD written after the client gave up", 61, commits, emulator.Then{Effect: emulator.EffectLate, For: time.Minute}),
		every("object written after the client gave up", 149, writes, emulator.Then{Effect: emulator.EffectLate, For: time.Minute}),
		every("upload broken", 83, writes, emulator.Then{Effect: emulator.EffectBreakRequest, Bytes: 300}),
		every("reply broken", 71, reads, emulator.Then{Effect: emulator.EffectBreak, Bytes: 300}),
		every("reply stalled for 3 s", 103, reads, emulator.Then{Effect: emulator.EffectStall, Bytes: 100, For: 3 * time.Second}),
	}
}

// damage are faults after which the bytes of a reply are not those of the object. They are kept apart because they must not follow each other: see Cloud.damaged.
func damage() []emulator.Fault {
	always := func(name string, t emulator.Then) emulator.Fault { return emulator.Fault{Name: name, Then: t} }
	return []emulator.Fault{
		always("wrong byte", emulator.Then{Effect: emulator.EffectFlip, Bytes: 200}),
		always("reply cut short", emulator.Then{Effect: emulator.EffectTruncate, Bytes: 150}),
		always("bytes twice", emulator.Then{Effect: emulator.EffectRepeat, Bytes: 64}),
		always("wrong checksum", emulator.Then{Effect: emulator.EffectWrongCRC}),
		always("bytes of another object", emulator.Then{Effect: emulator.EffectSwap, Object: root + "/" + KindPages + "/HEAD"}),
	}
}

// closings is the fault that ends a connection after a reply, as servers do that limit how many requests one carries: what GOAWAY is in HTTP/1.1, which is all
// that a store's connections speak.
const closings = "connection closed every so many requests"

// revocation is what the fault of an episode in which tokens are revoked is called.
const revocation = "tokens revoked"

// episode is trouble that lasts for a while.
type episode struct {
	name   string
	lasts  float64 // in units of an episode's usual length
	revoke bool    // every token, at its beginning
	rules  []emulator.Fault
}

// episodes are what comes one after the other, in an order drawn anew each time round.
func episodes() []episode {
	storage := emulator.Match{Server: emulator.ServerStorage}
	metadata := emulator.Match{Server: emulator.ServerMetadata}
	one := func(name string, m emulator.Match, t emulator.Then) []emulator.Fault {
		return []emulator.Fault{{Name: name, Match: m, Then: t}}
	}
	most := storage
	most.Share, most.Seed = 0.9, 1
	third := storage
	third.Every = 3
	first := storage
	first.Nth = 1
	asked := metadata
	asked.Nth = 1
	return []episode{
		{name: "429 storm", lasts: 1, rules: one("429 storm", most, emulator.Then{Effect: emulator.EffectStatus, Status: http.StatusTooManyRequests, RetryAfter: time.Second})},
		{name: "storage away, pages of a proxy", lasts: 1, rules: one("storage away, pages of a proxy", storage, emulator.Then{Effect: emulator.EffectHTML})},
		{name: "storage refuses connections", lasts: 1, rules: one("storage refuses connections", first, emulator.Then{Effect: emulator.EffectRefuse, For: 3 * time.Second})},
		{name: "storage resets every third", lasts: 1, rules: one("storage resets every third", third, emulator.Then{Effect: emulator.EffectReset})},
		{name: "storage slow", lasts: 1, rules: one("storage slow", storage, emulator.Then{Effect: emulator.EffectDelay, For: 400 * time.Millisecond})},
		{name: revocation, lasts: 0.3, revoke: true},
		{name: "401 once", lasts: 0.3, rules: one("401 once", first, emulator.Then{Effect: emulator.EffectStatus, Status: http.StatusUnauthorized})},
		{name: "metadata 503, tokens revoked", lasts: 2, revoke: true, rules: one("metadata 503", metadata, emulator.Then{Effect: emulator.EffectStatus, Status: http.StatusServiceUnavailable})},
		{name: "metadata hangs, tokens revoked", lasts: 1.5, revoke: true, rules: one("metadata hangs", metadata, emulator.Then{Effect: emulator.EffectDelay, For: time.Minute})},
		{name: "metadata 429, tokens revoked", lasts: 1, revoke: true, rules: one("metadata 429", metadata, emulator.Then{Effect: emulator.EffectStatus, Status: http.StatusTooManyRequests, RetryAfter: 2 * time.Second})},
		{name: "metadata refuses connections, tokens revoked", lasts: 1, revoke: true, rules: one("metadata refuses connections", asked, emulator.Then{Effect: emulator.EffectRefuse, For: 3 * time.Second})},
		{name: "metadata answers with a page, tokens revoked", lasts: 1, revoke: true, rules: one("metadata answers with a page", metadata,
			emulator.Then{Effect: emulator.EffectStatus, Status: http.StatusOK, Body: "<!DOCTYPE html><title>Log in to the network</title>"})},
	}
}
