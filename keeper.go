package tidemark

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"gocloud.dev/secrets"
	_ "gocloud.dev/secrets/localsecrets" // base64key://, which needs nothing but itself; drivers of key services are for the user to link

	"github.com/tidemark-go/tidemark/checkpoint"
)

// openKeeper opens a keeper by its URL, and says what to call it where everybody can read. The URL may hold the key itself, so nothing quotes it.
func openKeeper(ctx context.Context, keyURL string) (k *secrets.Keeper, name string, err error) {
	u, err := url.Parse(keyURL)
	switch {
	case err != nil:
		return nil, "", badKey("the key's URL cannot be parsed")
	case u.Scheme == "":
		return nil, "", badKey("the key's URL has no scheme")
	case !secrets.DefaultURLMux().ValidKeeperScheme(u.Scheme):
		return nil, "", badKey(fmt.Sprintf("no driver for keys of the scheme %q is linked into this program", u.Scheme))
	case u.Scheme == "base64key" && u.Host == "":
		return nil, "", badKey("base64key:// without a key would make a new one each time, and nothing could ever be read again")
	}
	if k, err = secrets.OpenKeeper(ctx, keyURL); err != nil {
		if u.Scheme == "base64key" {
			err = errors.New("base64key:// needs 32 bytes in URL-safe base64")
		}
		return nil, "", &checkpoint.Error{Kind: checkpoint.ErrCredentials, Op: "open key", Err: err, Hint: keyHint}
	}
	if u.Scheme == "base64key" {
		return k, "base64key", nil
	}
	return k, u.Scheme + "://" + u.Host + u.Path, nil
}

const keyHint = "a key is base64key://… (`head -c 32 /dev/urandom | base64 | tr +/ -_`), or what a linked driver of gocloud.dev/secrets opens: gcpkms://, awskms://, azurekeyvault://, hashivault://"

func badKey(text string) error {
	return &checkpoint.Error{Kind: checkpoint.ErrInvalid, Op: "open key", Err: errors.New(text), Hint: keyHint}
}
