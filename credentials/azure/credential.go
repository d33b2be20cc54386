package azure

import (
	"context"
	"errors"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/tidemark-go/tidemark/credentials"
)

// TokenCredential lends a cache to a client of the Azure SDK, which must ask for the scope of the cache's source. Clients of the SDK keep
// the token that they were given until 5 minutes before its end; from then on they ask at each request, which costs a few nanoseconds here.
func TokenCredential(tokens credentials.Tokens) azcore.TokenCredential { return lent{tokens} }

type lent struct{ tokens credentials.Tokens }

// unknown is the life of a token whose end nobody knows: the client comes back soon.
const unknown = 10 * time.Minute

// GetToken implements [azcore.TokenCredential].
func (l lent) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	if o.Claims != "" {
		// Entra has withdrawn the token (continuous access evaluation), and asks for another with these claims, which no cache has.
		return azcore.AccessToken{}, errors.New("azure: the service asks for a token with further claims")
	}
	t, err := l.tokens.Get(ctx)
	if err != nil {
		return azcore.AccessToken{}, err
	}
	expiry := t.Expiry()
	if expiry.IsZero() {
		expiry = time.Now().Add(unknown)
	}
	return azcore.AccessToken{Token: t.Value(), ExpiresOn: expiry}, nil
}
