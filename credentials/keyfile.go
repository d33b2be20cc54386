package credentials

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
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
}

// KeyOptions adjusts the source made of a key. The zero value and a nil pointer are good.
type KeyOptions struct {
	Name   string       // what messages call it; default "key"
	Scopes []string     // default: [CloudPlatform]
	Client *http.Client // default: one that keeps no connections
}

// Key is the source described by the JSON of a service-account key or of a user's login
// (types service_account and authorized_user).
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
		return newServiceAccount(&f, o.Name, o.Scopes, o.Client)
	case "authorized_user":
		return newAuthorizedUser(&f, o.Name, o.Client)
	case "":
		return nil, errors.New("it has no type")
	}
	return nil, fmt.Errorf("its type %.40q is not supported: use service_account or authorized_user", f.Type)
}

// readKeyFile reads the key at a path that came from outside. What looks like the key itself is not
// printed as a path.
func readKeyFile(path string) ([]byte, error) {
	if strings.ContainsAny(path, "{}\n") || strings.Contains(path, "-----") {
		return nil, errors.New("it holds a key, not a path: give the key by GOOGLE_SERVICE_ACCOUNT_KEY")
	}
	return os.ReadFile(path)
}
