package credentials

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// FindOptions adjusts [Find]. The zero value and a nil pointer are good.
type FindOptions struct {
	Source  Source   // used without looking any further
	Only    string   // name of the one place to look in: see [Find]
	Scopes  []string // default: [CloudPlatform] for keys, the machine's own for the metadata server
	Account string   // which account of the metadata server; default "default"

	// SelfSigned makes a service-account key sign its own tokens, for the scopes, instead of exchanging them.
	SelfSigned bool

	LookupEnv func(string) (string, bool) // default [os.LookupEnv]
	Home      string                      // default [os.UserHomeDir]
	Client    *http.Client                // for all requests; default: clients that keep no connections

	// board is the file in which Linux tells the maker of the machine.
	board string
}

// Attempt is one place that was passed over, and why.
type Attempt struct {
	Source string `json:"source"`
	Reason string `json:"reason"`
}

// Found is the outcome of [Find].
type Found struct {
	Source  Source
	Name    string    // the place where it was found
	Account string    // as far as it is known without a request; see [AccountOf]
	Tried   []Attempt // the places passed over before
}

// FindError lists every place in which [Find] looked, and why it found no credentials there.
type FindError struct{ Tried []Attempt }

// Error lists the places.
func (e *FindError) Error() string {
	if len(e.Tried) == 0 {
		return "there is no such place"
	}
	parts := make([]string, len(e.Tried))
	for i, a := range e.Tried {
		parts[i] = a.Source + ": " + a.Reason
	}
	return strings.Join(parts, "; ")
}

// place is somewhere credentials may be. look returns a source; or why there is none, which is a reason to
// look elsewhere; or an error, which is none: credentials that somebody named and that do not work must not
// be replaced by others silently.
type place struct {
	name string
	look func(ctx context.Context, o *FindOptions) (src Source, passed string, err error)
}

func places() []place {
	return []place{
		{"option", func(_ context.Context, o *FindOptions) (Source, string, error) {
			return o.Source, "not given", nil
		}},
		{"GOOGLE_SERVICE_ACCOUNT_KEY", inlineKey},
		{"GOOGLE_SERVICE_ACCOUNT", namedKey("GOOGLE_SERVICE_ACCOUNT")},
		{"GOOGLE_APPLICATION_CREDENTIALS", namedKey("GOOGLE_APPLICATION_CREDENTIALS")},
		{"gcloud", gcloudLogin},
		{"metadata", metadataServer},
	}
}

// Find looks for credentials in this order, under these names: option, GOOGLE_SERVICE_ACCOUNT_KEY (the JSON
// of a key), GOOGLE_SERVICE_ACCOUNT and GOOGLE_APPLICATION_CREDENTIALS (the path of one), gcloud (the login
// of "gcloud auth application-default login"), metadata (GCE_METADATA_HOST, or the metadata server of the
// machine). A file may be of any type that [Key] takes; one that runs an executable is accepted only where
// GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES is 1. Find reads and at most probes; it fetches no token. Its error is an [*Error] around a [*FindError].
func Find(ctx context.Context, o *FindOptions) (*Found, error) {
	own := o.withDefaults()
	var tried []Attempt
	for _, p := range places() {
		if own.Only != "" && p.name != own.Only {
			continue
		}
		src, passed, err := p.look(ctx, own)
		switch {
		case err != nil:
			tried = append(tried, Attempt{p.name, err.Error()})
			return nil, &Error{Kind: Misconfigured, Source: p.name, Err: &FindError{tried},
				Remedy: "correct it, or unset it to look further"}
		case src != nil:
			found := &Found{Source: src, Name: p.name, Tried: tried}
			if !asks(src) {
				found.Account = AccountOf(ctx, src)
			}
			return found, nil
		}
		tried = append(tried, Attempt{p.name, passed})
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("credentials: stopped looking: %w", err)
	}
	return nil, &Error{Kind: Misconfigured, Source: "no credentials found", Err: &FindError{tried},
		Remedy: "set GOOGLE_APPLICATION_CREDENTIALS to a key file, run gcloud auth application-default login, " +
			"or set GCE_METADATA_HOST"}
}

// asks reports whether the source has to make a request to know its account.
func asks(src Source) bool {
	switch s := src.(type) {
	case *metadata:
		return s.known() == ""
	case *downscoped:
		return asks(s.src)
	case *idToken:
		return asks(s.src)
	}
	return false
}

// AccountOf is the account that a source stands for, asked of the source if need be; empty if nobody knows.
func AccountOf(ctx context.Context, src Source) string { return accountOf(ctx, src) }

func (o *FindOptions) withDefaults() *FindOptions {
	var d FindOptions
	if o != nil {
		d = *o
	}
	if d.LookupEnv == nil {
		d.LookupEnv = os.LookupEnv
	}
	if d.Home == "" {
		d.Home, _ = os.UserHomeDir() // without a home there is no login of gcloud, which is then said
	}
	if d.board == "" {
		d.board = "/sys/class/dmi/id/product_name"
	}
	return &d
}

// env is the value of a variable; set to nothing is not set.
func (o *FindOptions) env(name string) string {
	value, _ := o.LookupEnv(name)
	return strings.TrimSpace(value)
}

func inlineKey(_ context.Context, o *FindOptions) (Source, string, error) {
	text := o.env("GOOGLE_SERVICE_ACCOUNT_KEY")
	if text == "" {
		return nil, "not set", nil
	}
	if !strings.HasPrefix(text, "{") {
		return nil, "", errors.New("it is not JSON: to name a file, use GOOGLE_SERVICE_ACCOUNT")
	}
	return o.key([]byte(text), "GOOGLE_SERVICE_ACCOUNT_KEY")
}

func namedKey(variable string) func(context.Context, *FindOptions) (Source, string, error) {
	return func(_ context.Context, o *FindOptions) (Source, string, error) {
		path := o.env(variable)
		if path == "" {
			return nil, "not set", nil
		}
		text, err := readKeyFile(path)
		if err != nil {
			return nil, "", err
		}
		src, _, err := o.key(text, variable)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", path, err)
		}
		return src, "", nil
	}
}

func (o *FindOptions) key(text []byte, name string) (Source, string, error) {
	src, err := parseKeyFile(text, KeyOptions{
		Name: name, Scopes: o.Scopes, Client: o.Client, SelfSigned: o.SelfSigned,
		AllowExecutables: o.env("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES") == "1",
	})
	return src, "", err
}

// gcloudLogin reads what gcloud left behind. Nobody named it, so a file that is no use is passed over.
func gcloudLogin(_ context.Context, o *FindOptions) (Source, string, error) {
	dir := o.env("CLOUDSDK_CONFIG")
	if dir == "" && runtime.GOOS == "windows" {
		if data := o.env("APPDATA"); data != "" {
			dir = filepath.Join(data, "gcloud")
		}
	} else if dir == "" && o.Home != "" {
		dir = filepath.Join(o.Home, ".config", "gcloud")
	}
	if dir == "" {
		return nil, "no home directory", nil
	}
	path := filepath.Join(dir, "application_default_credentials.json")
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "no login: " + path + " does not exist", nil
	}
	if err != nil {
		return nil, err.Error(), nil
	}
	src, _, err := o.key(text, "gcloud login")
	if err != nil {
		return nil, path + ": " + err.Error(), nil
	}
	return src, "", nil
}
