package credentials

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// MetadataHost is where the metadata server of Google Cloud is. The address spares the look-up of
// metadata.google.internal, which depends on a DNS that a new pod may not have yet.
const MetadataHost = "169.254.169.254"

const (
	// settleMissing is how long a 404 may mean that the metadata server of a new pod does not know the pod
	// yet, rather than that there is no such account.
	settleMissing = 15 * time.Second

	// settleDenied is the same for a 403, which is usually the lasting truth about a permission.
	settleDenied = 2 * time.Second
)

// metadataClient goes straight to the metadata server: a proxy would answer for another machine.
var metadataClient = &http.Client{Transport: &http.Transport{
	DialContext:       (&net.Dialer{Timeout: 3 * time.Second}).DialContext,
	DisableKeepAlives: true,
}}

// MetadataOptions chooses what to ask a metadata server for. The zero value and a nil pointer are good.
type MetadataOptions struct {
	Host    string       // host or host:port; default [MetadataHost]
	Account string       // an e-mail address or alias; default "default"
	Scopes  []string     // default: those of the machine or pod
	Client  *http.Client // default: a direct one that keeps no connections
}

// Metadata is the metadata server of a Google Cloud machine, pod or sidecar.
//
// It takes a refused connection, a 5xx, a 429 and a silence for a server that is starting or overloaded
// (unavailable). A 404 is taken so during the first 15 s, as a new GKE pod may be unknown at first, and then
// for an account that does not exist (misconfigured). A 403 is confirmed for 2 s before it is final (refused).
func Metadata(o *MetadataOptions) Source {
	var m metadata
	if o != nil {
		m.MetadataOptions = *o
	}
	m.Host = strings.TrimSuffix(strings.TrimPrefix(m.Host, "http://"), "/")
	if m.Host == "" {
		m.Host = MetadataHost
	}
	if m.MetadataOptions.Account == "" {
		m.MetadataOptions.Account = "default"
	}
	if m.Client == nil {
		m.Client = metadataClient
	}
	m.Scopes = slices.Clone(m.Scopes)
	return &m
}

type metadata struct{ MetadataOptions }

func (m *metadata) Identity() string {
	return identity("metadata", []string{m.Host, m.MetadataOptions.Account}, m.Scopes)
}

func (m *metadata) Name() string { return "metadata server " + m.Host }

func (m *metadata) Fetch(ctx context.Context) (*Token, error) {
	path := "token"
	if len(m.Scopes) > 0 {
		path += "?scopes=" + url.QueryEscape(strings.Join(m.Scopes, ","))
	}
	r, err := m.get(ctx, path)
	if err != nil {
		return nil, err
	}
	t, err := r.token(m.known())
	if err != nil {
		return nil, m.fail(Unavailable, err, "see what answers at this address; GCE_METADATA_HOST chooses another")
	}
	return t, nil
}

// Account asks for the account's e-mail address.
func (m *metadata) Account(ctx context.Context) (string, error) {
	if known := m.known(); known != "" {
		return known, nil
	}
	r, err := m.get(ctx, "email")
	if err != nil {
		return "", err
	}
	email := printable(string(r.body), 256)
	if !strings.Contains(email, "@") || strings.ContainsAny(email, "<> ") {
		return "", m.fail(Unavailable, errors.New("the answer is not an e-mail address"), "")
	}
	return email, nil
}

// known is the account where the options name it rather than an alias.
func (m *metadata) known() string {
	if strings.Contains(m.MetadataOptions.Account, "@") {
		return m.MetadataOptions.Account
	}
	return ""
}

func (m *metadata) get(ctx context.Context, path string) (*reply, error) {
	at := "http://" + m.Host + "/computeMetadata/v1/instance/service-accounts/" + url.PathEscape(m.MetadataOptions.Account) + "/" + path
	req, err := newRequest(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, m.fail(Misconfigured, err, "correct GCE_METADATA_HOST: host or host:port")
	}
	req.Header.Set("Metadata-Flavor", "Google")
	r, err := exchange(m.Client, req)
	if err != nil {
		return nil, m.fail(Unavailable, err, "retry: it may be starting or overloaded; "+
			"outside Google Cloud, name other credentials or set GCE_METADATA_HOST")
	}
	if r.status == http.StatusOK {
		return r, nil
	}
	e := m.fail(Unavailable, errors.New(r.says()), "retry")
	switch {
	case overloaded(r.status):
		e.RetryAfter = r.retryAfter()
	case r.status == http.StatusForbidden, r.status == http.StatusUnauthorized:
		e.Kind, e.settle = Refused, settleDenied
		e.Remedy = "let this machine or pod use the account (on GKE: roles/iam.workloadIdentityUser) with these scopes"
	case r.status == http.StatusNotFound:
		e.Kind, e.settle = Misconfigured, settleMissing
		e.Remedy = "attach the service account to this machine or pod"
	case r.status == http.StatusBadRequest:
		e.Kind = Misconfigured
		e.Remedy = "correct the account name or the scopes"
	}
	if r.header.Get("Metadata-Flavor") == "" {
		e.Remedy += "; or see who answers there: Google's server would have said Metadata-Flavor: Google"
	}
	return nil, e
}

func (m *metadata) fail(kind Kind, err error, remedy string) *Error {
	return &Error{Kind: kind, Source: m.Name(), Account: m.known(), Err: err, Remedy: remedy}
}

// probe reports whether a metadata server of Google Cloud answers, and what was found instead if not.
func (m *metadata) probe(ctx context.Context) (bool, *reply, error) {
	req, err := newRequest(ctx, http.MethodGet, "http://"+m.Host+"/", nil)
	if err != nil {
		return false, nil, err
	}
	req.Header.Set("Metadata-Flavor", "Google")
	r, err := exchange(m.Client, req)
	if err != nil {
		return false, nil, err
	}
	if r.header.Get("Metadata-Flavor") != "Google" {
		return false, r, fmt.Errorf("%s answered %s without Metadata-Flavor: Google: not Google's", m.Host, r.says())
	}
	return true, r, nil
}
