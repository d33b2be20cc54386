package sidecar

import (
	"net/url"
	"strings"
	"time"
)

// constancy is how long an answer stays true.
type constancy int

const (
	// live may change at any moment, and clients ask because it does: attributes, preemption, maintenance.
	live constancy = iota
	// steady hardly changes: which accounts there are, and with what scopes. Clients ask for it with every token.
	steady
	// fixed cannot change while this machine, pod or project exists.
	fixed
)

const (
	// steadyFor is how long a steady answer is served before it is asked for again. A Kubernetes service account that is
	// bound to another account is noticed after that.
	steadyFor = time.Minute

	// missingFor is the same for "there is no such thing", which a pod that has just started is told of everything.
	missingFor = 5 * time.Second
)

var fixedPaths = map[string]bool{
	"project/project-id":                   true,
	"project/numeric-project-id":           true,
	"instance/id":                          true,
	"instance/name":                        true,
	"instance/zone":                        true,
	"instance/hostname":                    true,
	"instance/attributes/cluster-name":     true,
	"instance/attributes/cluster-location": true,
	"instance/attributes/cluster-uid":      true,
	"universe/universe-domain":             true,
	"universe/universe_domain":             true, // as gcloud spells it
}

// steadyListings are directories whose entries are part of the protocol rather than of the machine.
var steadyListings = map[string]bool{"": true, "instance": true, "instance/": true, "project": true, "project/": true, "universe": true, "universe/": true}

func constancyOf(path string, query url.Values) constancy {
	for name := range query {
		if name != "recursive" && name != "alt" {
			return live
		}
	}
	recursive := strings.EqualFold(query.Get("recursive"), "true")
	switch {
	case fixedPaths[path]:
		return fixed
	case steadyListings[path] && !recursive:
		return steady
	case path == "instance/service-accounts" || strings.HasPrefix(path, "instance/service-accounts/"):
		return steady
	}
	return live
}

// until is when an answer of this constancy has to be asked for again; the zero time for never. It reports false for an
// answer that is not to be kept.
func (c constancy) until(a *answer, now time.Time) (time.Time, bool) {
	switch {
	case c == live || len(a.body) > maxKept:
		return time.Time{}, false
	case a.status == 404:
		return now.Add(missingFor), true
	case a.status >= 400:
		return time.Time{}, false
	case c == fixed && a.status == 200:
		return time.Time{}, true
	}
	return now.Add(steadyFor), true
}
