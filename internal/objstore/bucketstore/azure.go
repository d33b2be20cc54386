package bucketstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// AzureOptions are for OpenAzure; the zero value and nil are the defaults.
type AzureOptions struct {
	// Prefix is put in front of every key; a slash is added to it if it has none.
	Prefix string
	// Name is what String returns, without secrets; azblob://container/prefix is the default.
	Name string
	// Endpoint is the address of the account's blobs, as https://account.blob.core.windows.net, instead of the one that the account's name
	// makes. Plain http is for loopback only, where it may have a path: Azurite's http://127.0.0.1:10000/devstoreaccount1.
	Endpoint string
	// Account is the storage account; the default is that of the environment.
	Account string
	// LookupEnv is os.LookupEnv unless a test says otherwise.
	LookupEnv func(string) (string, bool)
}

// Azure is a container of Azure Blob Storage, or the part of it below a prefix.
//
// It speaks HTTP itself, as S3 does: gocloud's azureblob keeps no answer to a write, so there is no version to go on from, and sends
// a large body in blocks, several requests for what is one here. Below it, azblob brings the whole of Apache Arrow into the program
// (6.7 MB) for a kind of listing that nobody here asks for. Six kinds of request need none of that.
type Azure struct {
	httpStore
	account   string
	authority authority
}

var (
	_ objstore.Store = (*Azure)(nil)
	_ service        = (*Azure)(nil)
)

// containerName: https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata
var (
	containerName = regexp.MustCompile(`^[a-z0-9](-?[a-z0-9]){2,62}$|^\$(root|web)$`)
	accountName   = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
)

// OpenAzure opens a container. Requests are signed by the account key or carry the shared access signature of the environment (see
// azureEnvironment); without either, client has to bring the authority along, as one that adds tokens does. client stays the
// caller's; nil stands for connections of the store's own. OpenAzure sends nothing.
func OpenAzure(client *http.Client, container string, o *AzureOptions) (*Azure, error) {
	if o == nil {
		o = &AzureOptions{}
	}
	s := &Azure{}
	s.name, s.service, s.headers = cmp.Or(o.Name, strings.TrimSuffix("azblob://"+container+"/"+o.Prefix, "/")), s, azureHeaders{}
	invalid := func(err error) error {
		return &objstore.Error{Kind: objstore.KindInvalid, Op: "open", Key: s.name, Err: err}
	}
	var err error
	if s.prefix, err = below(o.Prefix); err != nil {
		return nil, err
	}
	if len(container) > 63 || !containerName.MatchString(container) {
		return nil, invalid(fmt.Errorf("%q is no name of a container", container))
	}
	env, err := azureEnvironment(o.LookupEnv)
	if err != nil {
		return nil, &objstore.Error{Kind: objstore.KindCredentials, Op: "open", Key: s.name, Err: err}
	}
	if s.base, s.account, err = env.address(o); err != nil {
		return nil, invalid(err)
	}
	s.base.Path += "/" + container
	if s.authority, err = env.authority(s.account); err != nil {
		return nil, &objstore.Error{Kind: objstore.KindCredentials, Op: "open", Key: s.name, Err: err}
	}
	if s.authority == nil {
		if client == nil {
			return nil, &objstore.Error{Kind: objstore.KindCredentials, Op: "open", Key: s.name, Err: errNoAuthority}
		}
		s.authority = brought{}
	}
	s.connect(client)
	return s, nil
}

var errNoAuthority = errors.New("none of AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN and AZURE_STORAGE_CONNECTION_STRING is set, and no HTTP client brings tokens")

// Traits has no limit: Azure throttles an account, not a blob.
func (s *Azure) Traits() objstore.Traits { return objstore.Traits{} }

// Stat implements objstore.Store. Unlike S3, Azure says in a header why it refuses a HEAD.
func (s *Azure) Stat(ctx context.Context, key string) (objstore.Info, error) { return s.head(ctx, key) }

// aliased implements service.
func (s *Azure) aliased(name string) error {
	if azureAliases.MatchString(name) {
		return errors.New("a backslash is a slash to Azure, and a dot before a slash or at the end is left out: two keys would be one blob")
	}
	return nil
}

// azureAliases are not told apart from other names:
// https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata#blob-names
var azureAliases = regexp.MustCompile(`\\|\.(/|$)`)
