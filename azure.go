package tidemark

import (
	"context"
	"os"
	"strings"

	"github.com/tidemark-go/tidemark/credentials"
	"github.com/tidemark-go/tidemark/credentials/azure"
)

const azureScheme = "azblob"

// hasAzureKey reports whether the environment has an authority that needs no token.
func hasAzureKey() bool {
	for _, name := range []string{"KEY", "SAS_TOKEN", "CONNECTION_STRING"} {
		if strings.TrimSpace(os.Getenv("AZURE_STORAGE_"+name)) != "" {
			return true
		}
	}
	return false
}

// find looks where the cloud of the store keeps credentials; hint is what to do about an error.
func find(ctx context.Context, storeURL string, given credentials.Source) (found *credentials.Found, hint string, err error) {
	if given == nil && strings.HasPrefix(storeURL, azureScheme+":") {
		src, err := azure.Source(nil)
		return &credentials.Found{Source: src, Name: "azure"}, "set AZURE_STORAGE_KEY or the AZURE_ variables of an application", err
	}
	found, err = credentials.Find(ctx, &credentials.FindOptions{Source: given, Scopes: []string{Scope}})
	return found, "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run where a metadata server answers", err
}
