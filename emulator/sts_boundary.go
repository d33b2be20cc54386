package emulator

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// maxRules is Google's limit of rules in a credential access boundary.
const maxRules = 10

// accessBoundary is a credential access boundary as clients send it.
type accessBoundary struct {
	Rules []struct {
		Resource    string   `json:"availableResource"`
		Permissions []string `json:"availablePermissions"`
		Condition   *struct {
			Expression string `json:"expression"`
		} `json:"availabilityCondition"`
	} `json:"accessBoundaryRules"`
}

// boundary is what a downscoped token may be used for.
type boundary []bound

// bound is one rule of a boundary.
type bound struct {
	bucket   string
	roles    []string
	prefixes []string // of objects; nil for the whole bucket
	listings []string // prefixes of objects that may be listed; nil for the whole bucket
}

// rolePermissions are the permissions in the roles that a boundary may name. A role that is not here grants nothing.
var rolePermissions = map[string][]string{
	"roles/storage.objectViewer":       {"storage.objects.get", "storage.objects.list"},
	"roles/storage.objectCreator":      {"storage.objects.create"},
	"roles/storage.objectUser":         {"storage.objects.get", "storage.objects.list", "storage.objects.create", "storage.objects.update", "storage.objects.delete"},
	"roles/storage.objectAdmin":        {"storage.objects.get", "storage.objects.list", "storage.objects.create", "storage.objects.update", "storage.objects.delete"},
	"roles/storage.legacyBucketReader": {"storage.objects.list", "storage.buckets.get"},
}

// These are the two conditions that Google documents for a prefix. Strings in them may be quoted either way.
var (
	objectCondition = regexp.MustCompile(`^resource\.name\.startsWith\((?:'([^'\\]*)'|"([^"\\]*)")\)$`)
	listCondition   = regexp.MustCompile(`^api\.getAttribute\((?:'storage\.googleapis\.com/objectListPrefix'|"storage\.googleapis\.com/objectListPrefix"), ?(?:''|"")\)\.startsWith\((?:'([^'\\]*)'|"([^"\\]*)")\)$`)
)

const bucketResourceName = "//storage.googleapis.com/projects/_/buckets/"

// downscope issues a token that is subject's, within bounds, until the same moment. The reply for a person's token does
// not say when that is: Google's does not either.
func (s *stsServer) downscope(kind, subject string, wanted *accessBoundary) (map[string]any, *oauthError) {
	if kind != typeAccessToken {
		return nil, invalidRequest("an access boundary goes around access tokens only")
	}
	bounds, err := parseBoundary(wanted)
	if err != nil {
		return nil, invalidRequest(err.Error())
	}
	g, err := s.issuer.lookup(subject)
	if err != nil {
		return nil, invalidGrant("the subject token is expired, revoked or unknown")
	}
	if g.bounds != nil {
		return nil, invalidGrant("the subject token has an access boundary already")
	}
	g.bounds = bounds
	reply := s.reply(g)
	if g.account == person {
		delete(reply, "expires_in")
	}
	return reply, nil
}

func parseBoundary(wanted *accessBoundary) (boundary, error) {
	if len(wanted.Rules) == 0 || len(wanted.Rules) > maxRules {
		return nil, fmt.Errorf("an access boundary has 1 to %d rules", maxRules)
	}
	bounds := make(boundary, 0, len(wanted.Rules))
	for _, rule := range wanted.Rules {
		bucket, ok := strings.CutPrefix(rule.Resource, bucketResourceName)
		if !ok || checkBucketName(bucket) != nil {
			return nil, fmt.Errorf("%q is not the resource name of a bucket", rule.Resource)
		}
		b := bound{bucket: bucket}
		for _, permission := range rule.Permissions {
			role, ok := strings.CutPrefix(permission, "inRole:")
			if !ok {
				return nil, fmt.Errorf("permission %q does not begin with inRole: and a role", permission)
			}
			b.roles = append(b.roles, role)
		}
		if len(b.roles) == 0 {
			return nil, fmt.Errorf("the rule for bucket %s names no role", bucket)
		}
		if rule.Condition != nil {
			if err := b.condition(rule.Condition.Expression); err != nil {
				return nil, err
			}
		}
		bounds = append(bounds, b)
	}
	return bounds, nil
}

// condition reads the alternatives of an expression. It refuses what it does not understand, since to ignore it would
// be to grant too much.
func (b *bound) condition(expression string) error {
	b.prefixes, b.listings = []string{}, []string{}
	for _, part := range strings.Split(expression, "||") {
		part = strings.TrimSpace(part)
		if m := objectCondition.FindStringSubmatch(part); m != nil {
			prefix, ok := strings.CutPrefix(m[1]+m[2], "projects/_/buckets/"+b.bucket+"/objects/")
			if !ok {
				return fmt.Errorf("the condition is about objects outside of bucket %s", b.bucket)
			}
			b.prefixes = append(b.prefixes, prefix)
		} else if m := listCondition.FindStringSubmatch(part); m != nil {
			b.listings = append(b.listings, m[1]+m[2])
		} else {
			return fmt.Errorf("the emulator does not understand the condition %q", part)
		}
	}
	return nil
}

// allows reports whether a token within bounds may use permission on what the request is about.
func (bounds boundary) allows(permission, bucket, object, listed string) bool {
	return slices.ContainsFunc(bounds, func(b bound) bool {
		if b.bucket != bucket {
			return false
		}
		if !slices.ContainsFunc(b.roles, func(role string) bool {
			return slices.Contains(rolePermissions[role], permission)
		}) {
			return false
		}
		begins, in := object, b.prefixes
		if permission == "storage.objects.list" {
			begins, in = listed, b.listings
		}
		return in == nil || slices.ContainsFunc(in, func(p string) bool { return strings.HasPrefix(begins, p) })
	})
}

// withinBounds answers 403 where a downscoped token is used outside of its access boundary. It stands in front of
// whichever storage server there is.
func withinBounds(issuer *Issuer, next http.Handler) http.Handler {
	var within http.HandlerFunc
	within = func(w http.ResponseWriter, r *http.Request) {
		if !issuer.bounded.Load() { // most clouds never issue such a token, and benchmarks run through here
			next.ServeHTTP(w, r)
			return
		}
		bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		g, err := issuer.lookup(bearer)
		if err != nil || g.bounds == nil {
			next.ServeHTTP(w, r)
			return
		}
		if isBatch(r) {
			serveBatch(w, r, within) // each of its calls has to be within
			return
		}
		c := route(r)
		ok := g.bounds.allows(c.permission, c.bucket, c.object, c.query.Get("prefix"))
		if c.to != "" {
			ok = g.bounds.allows("storage.objects.get", c.bucket, c.object, "") &&
				g.bounds.allows(c.permission, c.toBucket, c.to, "")
		}
		if !ok {
			fail(w, r, c, denied(g.account, c.permission))
			return
		}
		next.ServeHTTP(w, r)
	}
	return within
}
