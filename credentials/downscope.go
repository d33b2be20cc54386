package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	stsEndpoint = "https://sts.googleapis.com/v1/token"

	grantExchange   = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
)

// DownscopeOptions adjusts [Downscope]. The zero value and a nil pointer are good.
type DownscopeOptions struct {
	// Roles are the most that the tokens may do in the bucket; default roles/storage.objectAdmin: read, write,
	// delete and list objects.
	Roles    []string
	Endpoint string       // of the token exchange; default Google's
	Client   *http.Client // default: one that keeps no connections
}

// Downscope is the source of base's tokens with a credential access boundary: they are good for nothing but
// the objects of one bucket whose names begin with prefix, or all of them if it is empty, and for listing these. The
// bucket needs uniform bucket-level access. Such a token can be handed to a job that should not reach the data of
// others. It dies with the token that it was made of.
func Downscope(base Source, bucket, prefix string, o *DownscopeOptions) (Source, error) {
	var own DownscopeOptions
	if o != nil {
		own = *o
	}
	if own.Endpoint == "" {
		own.Endpoint = stsEndpoint
	}
	if len(own.Roles) == 0 {
		own.Roles = []string{"roles/storage.objectAdmin"}
	}
	name := fmt.Sprintf("tokens of %s for bucket %s", nameOf(base), bucket)
	rules, err := accessBoundary(bucket, prefix, own.Roles)
	if err != nil {
		return nil, &Error{Kind: Misconfigured, Source: name, Err: err, Remedy: "correct the bucket, the prefix and the roles"}
	}
	end, err := newEndpoint(own.Client, own.Endpoint, name, "")
	if err != nil {
		return nil, &Error{Kind: Misconfigured, Source: name, Err: err, Remedy: "correct the endpoint"}
	}
	end.grantRemedy = "see that the source's own token is alive, has the scope cloud-platform and has no access boundary yet"
	end.setupRemedy = "check the bucket, the prefix and the roles"
	return &downscoped{end, &basis{src: base}, rules, bucket, prefix, slices.Clone(own.Roles)}, nil
}

type downscoped struct {
	endpoint
	*basis
	options        string // the boundary as the exchange takes it
	bucket, prefix string
	roles          []string
}

func (d *downscoped) Identity() string {
	return identity("downscoped", []string{d.url, d.bucket, d.prefix, d.src.Identity()}, d.roles)
}

func (d *downscoped) Name() string { return d.name }

func (d *downscoped) Account(ctx context.Context) (string, error) { return accountOf(ctx, d.src), nil }

func (d *downscoped) Fetch(ctx context.Context) (*Token, error) {
	return d.use(ctx, func(base *Token) (*Token, error) {
		own := d.endpoint
		own.account = base.account
		r, err := own.post(ctx, url.Values{
			"grant_type":           {grantExchange},
			"requested_token_type": {typeAccessToken},
			"subject_token_type":   {typeAccessToken},
			"subject_token":        {base.Value()},
			"options":              {d.options},
		}, base.Value())
		if err != nil {
			return nil, err
		}
		t, err := d.read(r, base)
		if err != nil {
			return nil, own.unusable(err)
		}
		return t, nil
	})
}

// read reads the granted token. Where the reply does not say how long it lives, as for a person's token, it is
// as long as the one that it was made of.
func (d *downscoped) read(r *reply, base *Token) (*Token, error) {
	var said struct {
		Value     string       `json:"access_token"`
		Kind      string       `json:"token_type"`
		ExpiresIn *json.Number `json:"expires_in"`
	}
	if err := r.json(&said); err != nil || said.ExpiresIn != nil {
		return r.token(base.account)
	}
	if base.lasting() {
		return lastingToken(said.Value, said.Kind, base.account, r.sent)
	}
	return NewToken(said.Value, said.Kind, base.account, r.sent, base.remaining(r.sent, time.Now()))
}

// accessBoundary is the JSON of a boundary with one rule.
func accessBoundary(bucket, prefix string, roles []string) (string, error) {
	if bucket == "" || strings.ContainsAny(bucket, "/'\"\\ ") {
		return "", errors.New("there is no such bucket name")
	}
	rule := map[string]any{"availableResource": "//storage.googleapis.com/projects/_/buckets/" + bucket}
	var permissions []string
	for _, role := range roles {
		if !strings.Contains(role, "roles/") {
			return "", fmt.Errorf("%.100q is not a role such as roles/storage.objectViewer", role)
		}
		permissions = append(permissions, "inRole:"+role)
	}
	rule["availablePermissions"] = permissions
	if prefix != "" {
		objects, err := celString("projects/_/buckets/" + bucket + "/objects/" + prefix)
		if err != nil {
			return "", err
		}
		listed, err := celString(prefix)
		if err != nil {
			return "", err
		}
		rule["availabilityCondition"] = map[string]string{"expression": "resource.name.startsWith(" + objects + ") || " +
			"api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith(" + listed + ")"}
	}
	text, err := json.Marshal(map[string]any{"accessBoundary": map[string]any{"accessBoundaryRules": []any{rule}}})
	return string(text), err
}

// celString is a string literal of the language that conditions are written in. A prefix must not be able to
// end it and add a condition of its own.
func celString(text string) (string, error) {
	for _, r := range text {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return "", errors.New("the prefix holds bytes that a condition cannot")
		}
	}
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'", nil
}
