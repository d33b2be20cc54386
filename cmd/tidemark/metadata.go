package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/tidemark-go/tidemark/credentials"
	"github.com/tidemark-go/tidemark/credentials/sidecar"
)

// sidecarFlags are the flags of metadata serve.
type sidecarFlags struct {
	listen, status, upstream, project string
	accounts, scopes, hosts           []string
	allowRemote                       bool
}

// sidecarReady is the line that metadata serve prints once it answers.
type sidecarReady struct {
	Address   string            `json:"address"`
	URL       string            `json:"url,omitempty"`        // not of a unix socket
	StatusURL string            `json:"status_url,omitempty"` // with --status
	Source    string            `json:"source"`               // where tokens come from, as in tidemark token
	Upstream  string            `json:"upstream,omitempty"`   // the metadata server in front of which it stands
	Account   string            `json:"account,omitempty"`    // without an upstream: for whom
	Env       map[string]string `json:"env,omitempty"`        // for the programs that shall use it
}

// sidecarMemory is what the collector of garbage aims to stay below, where GOMEMLIMIT says nothing. The process as a whole
// stays inside 64 MiB with it.
const sidecarMemory = 32 << 20

func newMetadataCommand(a *app) *cobra.Command {
	var f sidecarFlags
	cmd := &cobra.Command{
		Use:   "metadata serve",
		Short: "Serve tokens to any program by the metadata protocol, from a cache",
		Long: `Run the credentials sidecar until it is interrupted: a metadata server that answers from the token cache. A program in
any language that is told GCE_METADATA_HOST gets its tokens in no time, one fetch serves all of them, and an outage of
the real metadata server is not seen while a token is valid. One line of JSON says where it is, once it answers.

With --upstream it stands in front of that metadata server. Otherwise credentials are looked for as "tidemark token"
does; with a key it stands alone, and answers what can be said of an account without a machine.

Whoever reaches it gets tokens, so it listens on loopback or a unix socket unless --allow-remote is given. See
docs/sidecar.md for Flink, Spark, Arroyo, Python, Kubernetes and systemd.`,
		Example: `  tidemark metadata serve --listen 127.0.0.1:8174
  tidemark metadata serve --listen 127.0.0.1:8174 --upstream 169.254.169.254 --status 127.0.0.1:9174`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || args[0] != "serve" {
				return usagef("metadata takes one argument, serve").hinted("see `tidemark help metadata`")
			}
			return nil
		},
		ValidArgs:             []string{"serve"},
		DisableFlagsInUseLine: true,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8174", "address to serve on: HOST:PORT or unix:PATH")
	flags.StringVar(&f.status, "status", "", "address for /healthz, /readyz, /stats and /metrics alone; other machines may reach it")
	flags.StringVar(&f.upstream, "upstream", "", "metadata server to stand in front of: HOST, HOST:PORT or http://HOST:PORT")
	flags.StringSliceVar(&f.accounts, "account", nil, "account whose token is kept ready (repeatable; default \"default\")")
	flags.StringSliceVar(&f.scopes, "scopes", nil, "scopes of a token that is asked for without, separated by commas")
	flags.StringVar(&f.project, "project", "", "project id to tell when standing alone (default: that of the key)")
	flags.StringSliceVar(&f.hosts, "host", nil, "further name by which clients may call it (repeatable)")
	flags.BoolVar(&f.allowRemote, "allow-remote", false, "allow an address that other machines can reach; whoever reaches it gets tokens")
	cmd.RunE = a.action(func(ctx context.Context, _ []string) error { return a.serveMetadata(ctx, &f) })
	return cmd
}

// serveMetadata serves until ctx ends. That is the ordinary end of a server, and no error.
func (a *app) serveMetadata(ctx context.Context, f *sidecarFlags) (err error) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(sidecarMemory)
	}
	opts := &sidecar.Options{Accounts: f.accounts, Scopes: f.scopes, Hosts: f.hosts, Logger: a.serverLog()}
	ready := sidecarReady{Source: "metadata"}
	if err := f.credentials(ctx, opts, &ready); err != nil {
		return err
	}
	if opts.Upstream == f.listen {
		return usagef("the sidecar at %s would be its own upstream", f.listen).
			hinted("GCE_METADATA_HOST is for the programs that use it; name the real one with --upstream 169.254.169.254")
	}
	l, err := listenSidecar(ctx, "--listen", f.listen, f.allowRemote)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }() // Serve closes it; this is for when it is not reached
	server, err := sidecar.New(opts)
	if err != nil {
		if errors.As(err, new(credentialsError)) {
			return err
		}
		return usagef("%v", err)
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	group, serving := errgroup.WithContext(ctx)
	if f.status != "" {
		// Only what may be seen is served there, so it may be reached from anywhere.
		status, err := listenSidecar(ctx, "--status", f.status, true)
		if err != nil {
			return err
		}
		ready.StatusURL = "http://" + status.Addr().String()
		group.Go(func() error { return server.ServeStatus(serving, status) })
	}
	group.Go(func() error { return server.Serve(serving, l) })
	ready.at(l)
	if err := a.printJSON(ready); err != nil {
		return err
	}
	return group.Wait()
}

// credentials decides between an upstream and standing alone.
func (f *sidecarFlags) credentials(ctx context.Context, opts *sidecar.Options, ready *sidecarReady) error {
	if f.upstream != "" {
		opts.Upstream = strings.TrimSuffix(strings.TrimPrefix(f.upstream, "http://"), "/")
		ready.Upstream = opts.Upstream
		return nil
	}
	found, err := credentials.Find(ctx, &credentials.FindOptions{Scopes: f.scopes})
	if err != nil {
		return err
	}
	ready.Source = found.Name
	if found.Name == "metadata" {
		opts.Upstream = orElse(strings.TrimSpace(os.Getenv("GCE_METADATA_HOST")), credentials.MetadataHost)
		ready.Upstream = opts.Upstream
		return nil
	}
	if len(f.accounts) > 0 {
		return usagef("--account needs a metadata server, and the credentials are of %s", found.Name).
			hinted("name the metadata server with --upstream, or leave --account out")
	}
	opts.Source = func(ctx context.Context, scopes []string) (credentials.Source, error) {
		if len(scopes) == 0 || slices.Equal(scopes, f.scopes) {
			return found.Source, nil
		}
		again, err := credentials.Find(ctx, &credentials.FindOptions{Only: found.Name, Scopes: scopes})
		if err != nil {
			return nil, err
		}
		return again.Source, nil
	}
	opts.Project = orElse(f.project, projectOf(found.Name))
	ready.Account = found.Account
	return nil
}

// projectOf is the project that the environment, or else the key in that place, names.
func projectOf(place string) string {
	if project := os.Getenv("GOOGLE_CLOUD_PROJECT"); project != "" {
		return project
	}
	text := []byte(os.Getenv(place))
	if !strings.HasSuffix(place, "_KEY") {
		var err error
		if text, err = os.ReadFile(os.Getenv(place)); err != nil {
			return ""
		}
	}
	var key struct {
		Project string `json:"project_id"`
		Quota   string `json:"quota_project_id"`
	}
	if json.Unmarshal(text, &key) != nil {
		return ""
	}
	return orElse(key.Project, key.Quota)
}

func listenSidecar(ctx context.Context, flag, address string, allowRemote bool) (net.Listener, error) {
	l, err := sidecar.Listen(ctx, address, &sidecar.ListenOptions{AllowRemote: allowRemote})
	if errors.Is(err, sidecar.ErrNotLoopback) {
		return nil, usagef("%s %s is not on loopback, and whoever reaches it gets tokens", flag, address).
			hinted("use 127.0.0.1 or unix:PATH, or add --allow-remote")
	}
	if _, ok := errors.AsType[*net.AddrError](err); ok {
		return nil, usagef("%s %s is no address", flag, address).hinted("an address is HOST:PORT or unix:PATH, for instance 127.0.0.1:8174")
	}
	return l, err
}

func (r *sidecarReady) at(l net.Listener) {
	at, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		r.Address = "unix:" + l.Addr().String()
		return
	}
	r.Address = at.String()
	if at.IP.IsUnspecified() {
		at = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: at.Port}
	}
	r.URL = "http://" + at.String()
	r.Env = map[string]string{"GCE_METADATA_HOST": at.String(), "GCE_METADATA_IP": at.String(), "GCE_METADATA_ROOT": at.String()}
}

// serverLog is the log of a server, on standard error.
func (a *app) serverLog() *slog.Logger {
	level := slog.LevelInfo
	switch {
	case a.verbose:
		level = slog.LevelDebug
	case a.quiet:
		level = slog.LevelWarn
	}
	opts := &slog.HandlerOptions{Level: level}
	if a.json {
		return slog.New(slog.NewJSONHandler(a.err, opts))
	}
	return slog.New(slog.NewTextHandler(a.err, opts))
}
