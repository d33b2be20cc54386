package emulator

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// conditions are a request's preconditions; nil means that there is none of that kind.
type conditions struct {
	generation                      *int64 // the only one that is meant, not a condition: another is not found
	generationIs, generationIsNot   *int64 // 0 stands for "no live version"
	metageneration, metagenerationN *int64
	etags, notETags                 []string
}

// queryConditions reads the parameters of the JSON API; prefix is "if", or "ifSource" for the source of a copy.
func queryConditions(query url.Values, prefix string) (cond conditions, err error) {
	generation := "generation"
	if prefix == "ifSource" {
		generation = "sourceGeneration"
	}
	for name, field := range map[string]**int64{
		generation:                        &cond.generation,
		prefix + "GenerationMatch":        &cond.generationIs,
		prefix + "GenerationNotMatch":     &cond.generationIsNot,
		prefix + "MetagenerationMatch":    &cond.metageneration,
		prefix + "MetagenerationNotMatch": &cond.metagenerationN,
	} {
		if *field, err = number(name, query.Get(name)); err != nil {
			return cond, err
		}
	}
	return cond, nil
}

// readConditions adds what HTTP and the XML API put in headers.
func readConditions(c *call, r *http.Request) (cond conditions, err error) {
	if cond, err = queryConditions(c.query, "if"); err != nil {
		return cond, err
	}
	cond.etags, cond.notETags = etags(r.Header, "If-Match"), etags(r.Header, "If-None-Match")
	for name, field := range map[string]**int64{
		"X-Goog-If-Generation-Match":     &cond.generationIs,
		"X-Goog-If-Metageneration-Match": &cond.metageneration,
	} {
		if value := r.Header.Get(name); value != "" {
			if *field, err = number(name, value); err != nil {
				return cond, err
			}
		}
	}
	return cond, nil
}

func number(name, value string) (*int64, error) {
	if value == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < 0 {
		return nil, errInvalid("Invalid value for %s: %q is not a number that fits", name, value)
	}
	return &n, nil
}

func etags(h http.Header, name string) []string {
	var tags []string
	for _, line := range h.Values(name) {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
			tags = append(tags, strings.TrimPrefix(strings.Trim(tag, `"`), "-"))
		}
	}
	return tags
}

// forWrite tells whether live, which is nil if there is none, may be replaced.
func (cond *conditions) forWrite(live *object) error {
	var generation int64
	if live != nil {
		generation = live.generation
	}
	switch {
	case cond.generationIs != nil && *cond.generationIs != generation,
		cond.generationIsNot != nil && *cond.generationIsNot == generation,
		cond.metageneration != nil && (live == nil || *cond.metageneration != live.metageneration),
		cond.metagenerationN != nil && (live == nil || *cond.metagenerationN == live.metageneration):
		return errPrecondition()
	}
	return nil
}

// forRead tells whether live may be read: a version that the client already has is 304, not 412.
func (cond *conditions) forRead(live *object) error {
	switch {
	case cond.generationIs != nil && *cond.generationIs != live.generation,
		cond.metageneration != nil && *cond.metageneration != live.metageneration,
		cond.etags != nil && !live.matches(cond.etags):
		return errPrecondition()
	case cond.generationIsNot != nil && *cond.generationIsNot == live.generation,
		cond.metagenerationN != nil && *cond.metagenerationN == live.metageneration,
		live.matches(cond.notETags):
		return errNotModified()
	}
	return nil
}

func (o *object) matches(tags []string) bool {
	for _, tag := range tags {
		if tag == "*" || tag == o.etag() {
			return true
		}
	}
	return false
}
