package bucketstore

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// azureSettings are what the environment says of Azure: the variables that gocloud's azureblob reads, and no others.
type azureSettings struct {
	account, key, sas, domain, protocol, endpoint string
	connection                                    bool // it came as a connection string
}

// azureEnvironment reads AZURE_STORAGE_ACCOUNT, _KEY, _SAS_TOKEN, _CONNECTION_STRING, _DOMAIN, _PROTOCOL and _IS_LOCAL_EMULATOR.
// A connection string comes before the others.
func azureEnvironment(lookup func(string) (string, bool)) (azureSettings, error) {
	if lookup == nil {
		lookup = os.LookupEnv
	}
	get := func(name string) string {
		v, _ := lookup("AZURE_STORAGE_" + name)
		return strings.TrimSpace(v)
	}
	e := azureSettings{account: get("ACCOUNT"), key: get("KEY"), sas: strings.TrimPrefix(get("SAS_TOKEN"), "?"), domain: get("DOMAIN"), protocol: get("PROTOCOL")}
	if text := get("CONNECTION_STRING"); text != "" {
		return e.connected(text)
	}
	if get("IS_LOCAL_EMULATOR") == "true" {
		e.endpoint = "http://" + cmp.Or(e.domain, "127.0.0.1:10000") + "/" + e.account
	}
	return e, nil
}

// connected reads a connection string: https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string
func (e azureSettings) connected(text string) (azureSettings, error) {
	field := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		name, value, ok := strings.Cut(part, "=")
		if !ok && strings.TrimSpace(part) != "" {
			return e, errors.New("AZURE_STORAGE_CONNECTION_STRING is not made of Name=value;…") // the part may be a secret
		}
		field[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	if field["UseDevelopmentStorage"] == "true" {
		return azureSettings{account: azuriteAccount, key: azuriteKey, endpoint: "http://127.0.0.1:10000/" + azuriteAccount, connection: true}, nil
	}
	own := azureSettings{
		account: field["AccountName"], key: field["AccountKey"], sas: strings.TrimPrefix(field["SharedAccessSignature"], "?"),
		protocol: field["DefaultEndpointsProtocol"], endpoint: field["BlobEndpoint"], connection: true,
	}
	if own.domain = field["EndpointSuffix"]; own.domain != "" {
		own.domain = "blob." + own.domain
	}
	if own.key == "" && own.sas == "" {
		return e, errors.New("AZURE_STORAGE_CONNECTION_STRING holds neither AccountKey nor SharedAccessSignature")
	}
	if own.account == "" && own.endpoint == "" {
		return e, errors.New("AZURE_STORAGE_CONNECTION_STRING holds neither AccountName nor BlobEndpoint")
	}
	return own, nil
}

// The account and key that every Azurite has: https://learn.microsoft.com/azure/storage/common/storage-use-azurite
const (
	azuriteAccount = "devstoreaccount1"
	azuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// address is where the account's blobs are, and the account.
func (e azureSettings) address(o *AzureOptions) (base url.URL, account string, err error) {
	account = cmp.Or(o.Account, e.account)
	text := cmp.Or(o.Endpoint, e.endpoint)
	if text == "" {
		if account == "" {
			return base, "", errors.New("which storage account? Set AZURE_STORAGE_ACCOUNT, or name it by the parameter storage_account or endpoint")
		}
		if !accountName.MatchString(account) {
			return base, "", fmt.Errorf("%q is no name of a storage account", account)
		}
		text = cmp.Or(e.protocol, "https") + "://" + account + "." + cmp.Or(e.domain, "blob.core.windows.net")
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || strings.Count(strings.Trim(u.Path, "/"), "/") > 0 {
		return base, "", errors.New("the endpoint is not of the form https://account.blob.core.windows.net") // it may hold a secret
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return base, "", fmt.Errorf("the endpoint %s://%s is not encrypted; plain http is for this machine only", u.Scheme, u.Host)
	}
	path := strings.Trim(u.Path, "/")
	if account == "" { // the first label of the host, or, on an address that names none, the path
		account, _, _ = strings.Cut(u.Hostname(), ".")
		if path != "" {
			account = path
		}
	}
	base = url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}
	if path != "" {
		base.Path = "/" + path
	}
	return base, account, nil
}

// authority is nil where the environment has none.
func (e azureSettings) authority(account string) (authority, error) {
	if e.key != "" {
		if e.account != "" && account != e.account {
			return nil, fmt.Errorf("the account key in the environment is that of %s, not of %s", e.account, account)
		}
		return newSharedKey(account, e.key)
	}
	if e.sas != "" {
		return newSharedAccess(e.sas)
	}
	return nil, nil
}
