// Package azure gets tokens of Microsoft Entra through the cache of package credentials.
//
// # What to use first
//
// [Source] is the identity of this process as Microsoft's own libraries find it; [credentials.Shared] caches its tokens,
// and [credentials.Transport] authorises requests with them. [TokenCredential] lends a cache to a client of the Azure SDK:
//
//	src, err := azure.Source(nil)
//	if err != nil { ... }
//	tokens := credentials.Shared(src, nil)
//	defer tokens.Close()
//	client, err := azblob.NewClient(url, azure.TokenCredential(tokens), nil)
//
// # What is promised
//
// Who asks for a token, and how, is the business of azidentity; when it is asked is that of the cache: one request at a time
// for each identity of the process, ahead of time and in the background, so that a managed identity that is slow,
// throttled or away for a while holds up nobody. azidentity's own retries are off.
//
// The package is apart from credentials so that only programs that speak to Azure carry azidentity.
package azure

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/tidemark-go/tidemark/credentials"
)

// StorageScope is that of blobs, in every cloud of Microsoft's.
const StorageScope = "https://storage.azure.com/.default"

// Options adjusts a source. The zero value and a nil pointer are good.
type Options struct {
	// Scope is what tokens are for; default [StorageScope].
	Scope string
	// Credential is asked instead of azidentity's default chain: environment, workload identity, managed identity, Azure CLI and other tools of
	// developers. AZURE_TOKEN_CREDENTIALS narrows that chain. Identity then tells it apart from others.
	Credential azcore.TokenCredential
	Identity   string
	// Client carries the chain's requests; default one that keeps no connections, and no proxy between the machine and its metadata server.
	Client *http.Client
}

// Source makes the source. It asks for nothing yet.
func Source(o *Options) (credentials.Source, error) {
	var own Options
	if o != nil {
		own = *o
	}
	s := &source{scope: cmp.Or(own.Scope, StorageScope), credential: own.Credential, identity: own.Identity}
	if s.credential != nil {
		if s.identity == "" {
			return nil, &credentials.Error{Kind: credentials.Misconfigured, Source: name, Err: errors.New("a credential was given without its identity"),
				Remedy: "say what tells it apart from others: tokens are shared by identity"}
		}
		return s, nil
	}
	s.identity = settings()
	client := cmp.Or(own.Client, direct)
	chain, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: azcore.ClientOptions{
		Transport: client, Retry: policy.RetryOptions{MaxRetries: -1}, // the cache repeats
	}})
	if err != nil {
		return nil, &credentials.Error{Kind: credentials.Misconfigured, Source: name, Err: errors.New(flat(err.Error())), Remedy: "correct the AZURE_ variables"}
	}
	s.credential = chain
	return s, nil
}

const name = "Azure's default credentials"

// direct keeps no connection: the next request is most of an hour away, and a kept connection is two goroutines that outlive every cache.
var direct = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSHandshakeTimeout: 4 * time.Second, Proxy: func(r *http.Request) (*url.URL, error) {
	if r.URL.Scheme == "http" { // the metadata server, which would take a proxy for the machine
		return nil, nil
	}
	return http.ProxyFromEnvironment(r)
}}}

// settings tells apart what the chain would find: whose names it is told, and a digest of all that it reads in the environment.
func settings() string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		return !strings.HasPrefix(kv, "AZURE_") && !strings.HasPrefix(kv, "IDENTITY_") && !strings.HasPrefix(kv, "MSI_") && !strings.HasPrefix(kv, "IMDS_")
	})
	slices.Sort(env)
	sum := sha256.Sum256([]byte(strings.Join(env, "\x00")))
	return url.PathEscape(os.Getenv("AZURE_TENANT_ID")) + "|" + url.PathEscape(os.Getenv("AZURE_CLIENT_ID")) + "|" + hex.EncodeToString(sum[:8])
}

type source struct {
	credential      azcore.TokenCredential
	scope, identity string
}

func (s *source) Identity() string { return "azure|" + s.identity + "|" + url.PathEscape(s.scope) }

func (s *source) Name() string { return name }

// maxLife is the most that the cache takes. Tokens of managed identities are stated to die at a time of day, 24 h from now by another clock.
const maxLife = 24 * time.Hour

func (s *source) Fetch(ctx context.Context) (*credentials.Token, error) {
	sent := time.Now()
	t, err := s.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{s.scope}})
	if err != nil {
		return nil, failure(ctx, err)
	}
	token, err := credentials.NewToken(t.Token, "", account(t.Token), sent, min(t.ExpiresOn.Sub(sent), maxLife))
	if err != nil {
		return nil, &credentials.Error{Kind: credentials.Unavailable, Source: name, Err: err, Remedy: "retry"}
	}
	return token, nil
}

// account is whom a token says that it is for: a person's name, or the identifier of an application. It is for messages only, so nothing is verified.
func account(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		UPN   string `json:"upn"`
		Name  string `json:"unique_name"`
		AppID string `json:"appid"`
		OID   string `json:"oid"`
	}
	if json.Unmarshal(text, &claims) != nil {
		return ""
	}
	return cmp.Or(claims.UPN, claims.Name, claims.AppID, claims.OID)
}
