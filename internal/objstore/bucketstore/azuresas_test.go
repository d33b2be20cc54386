package bucketstore

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"
	"time"
)

// accountSAS makes a shared access signature of Azurite's account: https://learn.microsoft.com/rest/api/storageservices/create-account-sas
func accountSAS(t *testing.T, until time.Time) string {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(azuriteKey)
	if err != nil {
		t.Fatal(err)
	}
	expiry := until.UTC().Format(time.RFC3339)
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(strings.Join([]string{azuriteAccount, "rwdlac", "b", "sco", "", expiry, "", "", azureVersion, "", ""}, "\n")))
	return url.Values{"sv": {azureVersion}, "ss": {"b"}, "srt": {"sco"}, "sp": {"rwdlac"}, "se": {expiry},
		"sig": {base64.StdEncoding.EncodeToString(mac.Sum(nil))}}.Encode()
}
