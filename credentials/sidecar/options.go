package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/credentials"
)

// Options adjusts a [Server]. The zero value and a nil pointer stand in front of the machine's metadata server.
type Options struct {
	// Upstream is the metadata server that is asked: host, host:port or http://host:port. Default
	// [credentials.MetadataHost], unless Source is set.
	Upstream string
	// Source makes the server stand alone, without an upstream: it gives the source of tokens with these scopes (none: the
	// source's own). The server then answers what can be said of an account without a machine.
	Source func(ctx context.Context, scopes []string) (credentials.Source, error)
	// Project is the project id of a server that stands alone; unknown if empty.
	Project string

	// Accounts are those whose tokens are fetched at the start and kept ready: e-mail addresses or aliases of the
	// upstream. Default "default". Others are served too when they are asked for.
	Accounts []string
	// Scopes are what a token is asked for when the request names none. Default: those of the machine, pod or key.
	Scopes []string
	// Hosts are further names by which clients may call this server, without port. Addresses on loopback, the address
	// of the connection itself, localhost, metadata and metadata.google.internal are always good.
	Hosts []string

	MaxIdentities  int           // caches held beside those of Accounts; default 64
	MaxWaiting     int           // requests that wait for an upstream at once; default 256
	MaxSubscribers int           // requests with wait_for_change at once; default 32
	MaxConnections int           // connections that Serve keeps at once; default 512
	Patience       time.Duration // how long a request may wait; default 5 s: most clients give up soon after

	Transport http.RoundTripper // to the upstream; default a direct one, since a proxy would answer for another machine
	Logger    *slog.Logger      // told of failures and refusals, never of a token; default none
}

func (o *Options) withDefaults() (*Options, error) {
	var d Options
	if o != nil {
		d = *o
	}
	var err error
	if d.Source != nil {
		if d.Upstream != "" || len(d.Accounts) > 0 {
			return nil, errors.New("sidecar: Source stands alone: it goes with neither Upstream nor Accounts")
		}
	} else if d.Upstream, err = hostOf(d.Upstream); err != nil {
		return nil, err
	}
	if len(d.Accounts) == 0 {
		d.Accounts = []string{"default"}
	}
	for _, account := range d.Accounts {
		if !validAccount(account) {
			return nil, fmt.Errorf("sidecar: %.80q is no name of an account: give an e-mail address or an alias", account)
		}
	}
	if d.Scopes, err = normalScopes(d.Scopes); err != nil {
		return nil, fmt.Errorf("sidecar: %w", err)
	}
	d.Hosts = slices.Clone(d.Hosts)
	for _, n := range []struct {
		field *int
		value int
	}{{&d.MaxIdentities, 64}, {&d.MaxWaiting, 256}, {&d.MaxSubscribers, 32}, {&d.MaxConnections, 512}} {
		if *n.field <= 0 {
			*n.field = n.value
		}
	}
	if d.Patience <= 0 {
		d.Patience = 5 * time.Second
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return &d, nil
}

// hostOf reads an upstream.
func hostOf(upstream string) (string, error) {
	if upstream == "" {
		return credentials.MetadataHost, nil
	}
	text := upstream
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		return "", errors.New("sidecar: the upstream is not host, host:port or http://host:port")
	}
	return u.Host, nil
}
