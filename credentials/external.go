package credentials

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google/externalaccount"
)

// external is workload identity federation: a token of another provider (in a file, at a URL, printed by an
// executable, or a signed request to AWS) is exchanged for one of Google's. How the foreign token is got and
// what is sent is the business of golang.org/x/oauth2/google/externalaccount; the requests go through a
// [guard], which reads the answers in this package's way.
type external struct {
	endpoint
	config   func() externalaccount.Config // a function, since fmt reads fields and addresses and headers hold secrets
	run      *executable                   // nil unless the foreign token is printed by an executable
	program  bool                          // the keys of AWS are printed by a program
	identify string
}

// newExternal makes the source that a file of type external_account describes.
func newExternal(f *keyFile, o KeyOptions) (Source, error) {
	universe := cmp.Or(f.UniverseDomain, "googleapis.com")
	address := cmp.Or(f.TokenURL, "https://sts."+universe+"/v1/token")
	end, err := newEndpoint(o.Client, address, o.Name, "")
	if err != nil {
		return nil, err
	}
	end.grantRemedy = "see that the provider of the pool accepts this token (issuer, audience, attribute condition), and this machine's clock"
	end.setupRemedy = "check audience, subject_token_type and scopes, and that pool and provider exist and are enabled"
	if f.ClientSecret != "" {
		end.setupRemedy += "; check client_id and client_secret"
	}
	end.secret = hide(f.ClientSecret)
	config := externalaccount.Config{
		Audience: f.Audience, SubjectTokenType: f.SubjectTokenType, TokenURL: address, UniverseDomain: universe,
		ClientID: f.ClientID, ClientSecret: f.ClientSecret, WorkforcePoolUserProject: f.WorkforcePoolUserProject,
		CredentialSource: f.CredentialSource, Scopes: slices.Clone(o.Scopes),
	}
	if len(o.Scopes) == 0 || f.ImpersonationURL != "" {
		config.Scopes = []string{CloudPlatform}
	}
	foreign, err := checkSource(config)
	if err != nil {
		return nil, err
	}
	x := &external{endpoint: end, config: func() externalaccount.Config { return config }}
	if foreign == "executable" {
		if x.run, err = newExecutable(f, o.AllowExecutables); err != nil {
			return nil, err
		}
		foreign += " " + fingerprint(f.CredentialSource.Executable.Command)
		config.CredentialSource = nil
	}
	x.program = isAWS(config.CredentialSource) && awsRunsProgram(context.Background())
	x.identify = identity("external-account", []string{address, f.Audience, f.SubjectTokenType, f.ClientID, foreign}, config.Scopes)
	if f.ImpersonationURL == "" {
		return x, nil
	}
	return newImpersonated(x, f.ImpersonationURL, ImpersonateOptions{
		Scopes: o.Scopes, Client: o.Client, Lifetime: time.Duration(f.Impersonation.Lifetime) * time.Second,
	})
}

// checkSource checks where the foreign token comes from, and returns what tells that apart from others.
func checkSource(config externalaccount.Config) (string, error) {
	s := config.CredentialSource
	if s == nil {
		return "", errors.New("it lacks credential_source")
	}
	// The library's own words for what is missing are good; nothing is asked for yet.
	if _, err := externalaccount.NewTokenSource(context.Background(), config); err != nil {
		return "", errors.New(strings.TrimPrefix(err.Error(), "oauth2/google/externalaccount: "))
	}
	for _, address := range []string{s.URL, s.RegionURL, s.IMDSv2SessionTokenURL} {
		if err := checkForeign(address); err != nil {
			return "", err
		}
	}
	switch {
	case s.EnvironmentID != "":
		return s.EnvironmentID, nil
	case s.File != "":
		return "file " + s.File, nil
	case s.URL != "":
		return "url " + fingerprint(s.URL), nil
	case s.Executable != nil:
		return "executable", nil
	}
	return "", errors.New("its credential_source names no file, url, executable or environment_id")
}

// checkForeign refuses to let a foreign token travel in clear, except from the machine itself or the metadata
// server of its cloud.
func checkForeign(address string) error {
	if address == "" {
		return nil
	}
	u, err := url.Parse(address)
	if err != nil {
		return errors.New("an address in its credential_source is not a URL")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && u.Scheme == "http" &&
		(ip.Unmap().IsLinkLocalUnicast() || ip.IsPrivate() && ip.Is6()) {
		return nil
	}
	if mayCarryToken(u) != nil {
		return fmt.Errorf("its credential_source names %s by %.20q: a token may come by https, or from this machine or its cloud's metadata address",
			u.Host, u.Scheme)
	}
	return nil
}

func (x *external) Identity() string { return x.identify }

func (x *external) Name() string { return x.name }

// patience implements patient.
func (x *external) patience() time.Duration {
	if x.program {
		return runTime + attemptTime
	}
	if x.run == nil {
		return 0
	}
	return x.run.timeout + attemptTime
}

// throughAWS puts Amazon's chain in the place of the library's own ways to keys, where those do not suffice.
func (x *external) throughAWS(ctx context.Context, g *guard, config *externalaccount.Config) error {
	if !isAWS(config.CredentialSource) {
		return nil
	}
	keys, err := newAWSKeys(ctx, g, config.CredentialSource)
	if keys != nil {
		config.CredentialSource, config.AwsSecurityCredentialsSupplier = nil, keys
	}
	return err
}

func (x *external) Fetch(ctx context.Context) (*Token, error) {
	g := &guard{external: x}
	config := x.config()
	if x.run != nil {
		config.SubjectTokenSupplier = g
	}
	err := x.throughAWS(ctx, g, &config)
	if err == nil {
		var src oauth2.TokenSource
		if src, err = externalaccount.NewTokenSource(context.WithValue(ctx, oauth2.HTTPClient, g.through()), config); err == nil {
			_, err = src.Token()
		}
	}
	switch {
	case g.failure != nil:
		return nil, g.failure
	case g.token != nil:
		return g.token, nil
	case ctx.Err() != nil:
		return nil, x.fail(Unavailable, ctx.Err(), "retry")
	case err == nil:
		err = errors.New("no request was made")
	}
	// What remains went wrong on this machine: a file, a variable, a format. Some of these messages go on with
	// what was read, on the next line.
	text, _, _ := strings.Cut(strings.TrimPrefix(err.Error(), "oauth2/google/externalaccount: "), "\n")
	e := x.fail(Misconfigured, errors.New(printable(text, 200)), "correct the credential_source, or what it names")
	e.settle = settleDenied // a mounted token may be about to appear
	return nil, e
}
