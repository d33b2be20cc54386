package credentials

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

const (
	// iamEndpoint is the IAM Service Account Credentials API.
	iamEndpoint = "https://iamcredentials.googleapis.com"

	// Google's limits of an impersonated token's life: an hour, and twelve where the organisation allows it.
	impersonatedLife    = time.Hour
	maxImpersonatedLife = 12 * time.Hour
)

// ImpersonateOptions adjusts [Impersonate]. The zero value and a nil pointer are good.
type ImpersonateOptions struct {
	// Delegates are the accounts in between, by e-mail address: the source must be allowed to act as the
	// first, each as the next, and the last as the account.
	Delegates []string
	Scopes    []string      // default: [CloudPlatform]
	Lifetime  time.Duration // default 1 h; more, up to 12 h, only where the organisation allows it for the account
	Endpoint  string        // of the IAM Service Account Credentials API; default Google's
	Client    *http.Client  // default: one that keeps no connections
}

// Impersonate is the source of tokens of a service account, given by its e-mail address, for base, which must
// have roles/iam.serviceAccountTokenCreator on it. base's own tokens must have the scope [CloudPlatform] or that
// of IAM.
func Impersonate(base Source, account string, o *ImpersonateOptions) (Source, error) {
	var own ImpersonateOptions
	if o != nil {
		own = *o
	}
	if own.Endpoint == "" {
		own.Endpoint = iamEndpoint
	}
	if !strings.Contains(account, "@") || strings.ContainsAny(account, "/:?# ") {
		return nil, &Error{Kind: Misconfigured, Source: "impersonation", Err: fmt.Errorf("%.100q is not the e-mail address of a service account", account),
			Remedy: "name one"}
	}
	address := strings.TrimSuffix(own.Endpoint, "/") + "/v1/projects/-/serviceAccounts/" + url.PathEscape(account) + ":generateAccessToken"
	src, err := newImpersonated(base, address, own)
	if err != nil {
		return nil, &Error{Kind: Misconfigured, Source: "impersonation", Account: account, Err: err, Remedy: "correct the options"}
	}
	return src, nil
}

// impersonated asks the IAM API. Its endpoint is the resource of the account, to which the call's name is added.
type impersonated struct {
	endpoint
	*basis
	delegates []string
	scopes    []string
	life      time.Duration
}

var impersonationURL = regexp.MustCompile(`^(.+/serviceAccounts/([^/:]+)):generateAccessToken$`)

// newImpersonated takes the address as credentials files have it.
func newImpersonated(base Source, address string, o ImpersonateOptions) (*impersonated, error) {
	m := impersonationURL.FindStringSubmatch(address)
	if m == nil {
		return nil, errors.New("its service_account_impersonation_url does not end in /serviceAccounts/ACCOUNT:generateAccessToken")
	}
	account, err := url.PathUnescape(m[2])
	if err != nil {
		return nil, errors.New("its service_account_impersonation_url is not a URL")
	}
	end, err := newEndpoint(o.Client, m[1], fmt.Sprintf("impersonation of %s by %s", account, nameOf(base)), account)
	if err != nil {
		return nil, err
	}
	i := &impersonated{endpoint: end, basis: &basis{src: base}, scopes: slices.Clone(o.Scopes), life: o.Lifetime}
	if i.life == 0 {
		i.life = impersonatedLife
	}
	if i.life < time.Second || i.life > maxImpersonatedLife {
		return nil, fmt.Errorf("a life of %v is not between 1 s and %v", i.life, maxImpersonatedLife)
	}
	if len(i.scopes) == 0 {
		i.scopes = []string{CloudPlatform}
	}
	for _, d := range o.Delegates {
		i.delegates = append(i.delegates, "projects/-/serviceAccounts/"+strings.TrimPrefix(d, "projects/-/serviceAccounts/"))
	}
	return i, nil
}

func (i *impersonated) Identity() string {
	return identity("impersonated", append([]string{i.url, i.life.String(), i.src.Identity()}, i.delegates...), i.scopes)
}

func (i *impersonated) Name() string { return i.name }

func (i *impersonated) Account(context.Context) (string, error) { return i.account, nil }

func (i *impersonated) Fetch(ctx context.Context) (*Token, error) {
	return i.use(ctx, func(base *Token) (*Token, error) {
		r, err := i.call(ctx, "generateAccessToken", base, map[string]any{
			"delegates": i.delegates, "scope": i.scopes, "lifetime": fmt.Sprintf("%ds", int(i.life.Seconds())),
		})
		if err != nil {
			return nil, err
		}
		var granted struct {
			Value  string    `json:"accessToken"`
			Expiry time.Time `json:"expireTime"`
		}
		if err := r.json(&granted); err != nil {
			return nil, i.unusable(err)
		}
		t, err := NewToken(granted.Value, "", i.account, r.sent, min(r.until(granted.Expiry), i.life))
		if err != nil {
			return nil, i.unusable(err)
		}
		return t, nil
	})
}
