package credentials

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"golang.org/x/oauth2/google/externalaccount"
)

// keyFile is the JSON in which Google's tools keep credentials, discriminated by its type.
type keyFile struct {
	Type         string `json:"type"`
	ClientEmail  string `json:"client_email"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	TokenURI     string `json:"token_uri"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	RefreshToken string `json:"refresh_token"`
	Account      string `json:"account"`

	// Of external accounts:
	Audience                 string                            `json:"audience"`
	SubjectTokenType         string                            `json:"subject_token_type"`
	TokenURL                 string                            `json:"token_url"`
	CredentialSource         *externalaccount.CredentialSource `json:"credential_source"`
	WorkforcePoolUserProject string                            `json:"workforce_pool_user_project"`
	UniverseDomain           string                            `json:"universe_domain"`
	Impersonation            struct {
		Lifetime int `json:"token_lifetime_seconds"`
	} `json:"service_account_impersonation"`

	// Of impersonated accounts:
	ImpersonationURL  string          `json:"service_account_impersonation_url"`
	Delegates         []string        `json:"delegates"`
	SourceCredentials json.RawMessage `json:"source_credentials"`
}

// KeyOptions adjusts the source made of a key. The zero value and a nil pointer are good.
type KeyOptions struct {
	Name   string       // what messages call it; default "key"
	Scopes []string     // default: [CloudPlatform]
	Client *http.Client // default: one that keeps no connections

	// SelfSigned makes a service-account key sign its own tokens, without any request. They are for Audience,
	// the URL of a service such as https://storage.googleapis.com/, or if that is empty for the scopes.
	SelfSigned bool
	Audience   string

	// AllowExecutables allows an external account to run the program that it names. The program has this
	// process's rights, so take such a file only from whom you would take a program.
	AllowExecutables bool
}

// Key is the source described by the JSON of a credentials file, of type service_account, authorized_user,
// external_account, external_account_authorized_user or impersonated_service_account. The files of the last
// three say where to send tokens and what to read: check one that you were given before you use it.
func Key(text []byte, o *KeyOptions) (Source, error) {
	var own KeyOptions
	if o != nil {
		own = *o
	}
	if own.Name == "" {
		own.Name = "key"
	}
	src, err := parseKeyFile(text, own)
	if err != nil {
		return nil, &Error{Kind: Misconfigured, Source: own.Name, Err: err, Remedy: "give the JSON as Google's tools wrote it"}
	}
	return src, nil
}

func parseKeyFile(text []byte, o KeyOptions) (Source, error) {
	var f keyFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, errors.New("it is not a JSON object") // the decoder's words may quote the key
	}
	switch f.Type {
	case "service_account":
		return newServiceAccount(&f, o)
	case "authorized_user":
		return newAuthorizedUser(&f, o.Name, o.Client)
	case "external_account":
		return newExternal(&f, o)
	case "external_account_authorized_user":
		return newExternalUser(&f, o.Name, o.Client)
	case "impersonated_service_account":
		return newImpersonatedFile(&f, o)
	case "":
		return nil, errors.New("it has no type")
	}
	return nil, fmt.Errorf("its type %.40q is not supported: use service_account, authorized_user, external_account, "+
		"external_account_authorized_user or impersonated_service_account", f.Type)
}

// newImpersonatedFile is what "gcloud auth application-default login --impersonate-service-account" leaves.
func newImpersonatedFile(f *keyFile, o KeyOptions) (Source, error) {
	if len(f.SourceCredentials) == 0 || f.ImpersonationURL == "" {
		return nil, errors.New("it lacks source_credentials or service_account_impersonation_url")
	}
	var inner struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(f.SourceCredentials, &inner) == nil && inner.Type == f.Type {
		return nil, errors.New("its source_credentials are impersonated themselves: name the accounts in between in delegates")
	}
	below := o
	below.Scopes, below.SelfSigned, below.Audience = nil, false, ""
	base, err := parseKeyFile(f.SourceCredentials, below)
	if err != nil {
		return nil, fmt.Errorf("its source_credentials: %w", err)
	}
	return newImpersonated(base, f.ImpersonationURL, ImpersonateOptions{Delegates: f.Delegates, Scopes: o.Scopes, Client: o.Client})
}

// readKeyFile reads the key at a path that came from outside. What looks like the key itself is not
// printed as a path.
func readKeyFile(path string) ([]byte, error) {
	if strings.ContainsAny(path, "{}\n") || strings.Contains(path, "-----") {
		return nil, errors.New("it holds a key, not a path: give the key by GOOGLE_SERVICE_ACCOUNT_KEY")
	}
	return os.ReadFile(path)
}
