package bucketstore

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/storetest"
)

// azurite is Microsoft's own emulator, which checks signatures; internal/clients/run starts it.
const azuriteVariable = "TIDEMARK_TEST_AZURITE"

func azurite(t *testing.T) (endpoint string) {
	endpoint = os.Getenv(azuriteVariable)
	if endpoint == "" {
		t.Skip(azuriteVariable + " names no Azurite; internal/clients/run starts one, which takes node and npm")
	}
	return endpoint
}

var azuriteEnv = map[string]string{"AZURE_STORAGE_ACCOUNT": azuriteAccount, "AZURE_STORAGE_KEY": azuriteKey}

// openAzurite makes a container and opens it.
func openAzurite(t *testing.T, endpoint string) *Azure {
	t.Helper()
	container := strings.ToLower("t" + rand.Text())
	s, err := OpenAzure(nil, container, &AzureOptions{Prefix: "some/prefix", Endpoint: endpoint, LookupEnv: lookup(azuriteEnv)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	resp, err := s.send(t.Context(), &call{op: "create", method: http.MethodPut, query: map[string][]string{"restype": {"container"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

func lookup(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

func TestAzuriteConformance(t *testing.T) {
	endpoint := azurite(t)
	storetest.Run(t, func(t *testing.T) objstore.Store { return openAzurite(t, endpoint) }, &storetest.Options{
		Refused: []string{`back\slash`},
		Address: func(s objstore.Store) string {
			container := path.Base(s.(*Azure).base.Path)
			return place{Service: "azure", Endpoint: endpoint, Bucket: container, Prefix: "some/prefix"}.address()
		},
	})
}

func TestAzuriteRefusals(t *testing.T) {
	endpoint := azurite(t)
	s := openAzurite(t, endpoint)
	if _, err := s.Put(t.Context(), "k", []byte("xyz"), objstore.Absent); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		container string
		env       map[string]string
		kind      objstore.Kind
	}{
		"another key":          {kind: objstore.KindCredentials, env: map[string]string{"AZURE_STORAGE_ACCOUNT": azuriteAccount, "AZURE_STORAGE_KEY": "bm8="}},
		"a signature of old":   {kind: objstore.KindCredentials, env: map[string]string{"AZURE_STORAGE_ACCOUNT": azuriteAccount, "AZURE_STORAGE_SAS_TOKEN": "sv=2021-12-02&ss=b&srt=sco&sp=rwdlac&se=2001-01-01T00:00:00Z&sig=bm8%3D"}},
		"a missing container":  {kind: objstore.KindInvalid, container: "nobodys"},
		"a connection string":  {kind: objstore.KindNotFound, env: map[string]string{"AZURE_STORAGE_CONNECTION_STRING": "UseDevelopmentStorage=true"}},
		"a string with a key":  {kind: objstore.KindNotFound, env: map[string]string{"AZURE_STORAGE_CONNECTION_STRING": fmt.Sprintf("AccountName=%s;AccountKey=%s;BlobEndpoint=%s;", azuriteAccount, azuriteKey, endpoint)}},
		"the account's own":    {kind: objstore.KindNotFound},
		"the local emulator's": {kind: objstore.KindNotFound, env: map[string]string{"AZURE_STORAGE_ACCOUNT": azuriteAccount, "AZURE_STORAGE_KEY": azuriteKey, "AZURE_STORAGE_IS_LOCAL_EMULATOR": "true"}},
	} {
		t.Run(name, func(t *testing.T) {
			env := c.env
			if env == nil {
				env = azuriteEnv
			}
			own := strings.TrimPrefix(s.base.Path, "/"+azuriteAccount+"/")
			other, err := OpenAzure(nil, cmp.Or(c.container, own), &AzureOptions{Endpoint: endpoint, LookupEnv: lookup(env)})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = other.Close() }()
			for op, err := range everyOp(t.Context(), other) {
				want := c.kind
				if c.kind == objstore.KindNotFound && op != "get" { // which comes before the others
					want = objstore.KindUnknown
				}
				if op == "stat" && want == objstore.KindCredentials {
					want = objstore.KindPermission // Azurite says of a HEAD only that it is refused
				}
				if objstore.KindOf(err) != want || (want == objstore.KindUnknown) != (err == nil) || err != nil && strings.Contains(err.Error(), "sig=") {
					t.Errorf("%s: %v, want %v", op, err, want)
				}
			}
		})
	}
}

// The signature that somebody made for a container and a while is enough.
func TestAzuriteSharedAccess(t *testing.T) {
	endpoint := azurite(t)
	s := openAzurite(t, endpoint)
	sas := accountSAS(t, time.Now().Add(time.Hour))
	container := strings.TrimPrefix(s.base.Path, "/"+azuriteAccount+"/")
	other, err := OpenAzure(nil, container, &AzureOptions{Endpoint: endpoint, LookupEnv: lookup(map[string]string{"AZURE_STORAGE_SAS_TOKEN": "?" + sas})})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	v, err := other.Put(t.Context(), "k", []byte("one"), objstore.Absent)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Put(t.Context(), "k", []byte("two"), v); err != nil {
		t.Fatal(err)
	}
	if body, _, err := other.Get(t.Context(), "k", 10); err != nil || string(body) != "two" {
		t.Errorf("%q, %v", body, err)
	}
}
