package bucketstore

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/storetest"
)

func TestMain(m *testing.M) {
	storetest.Contend(contend)
	goleak.VerifyTestMain(m,
		// The storage client's metrics library starts one for the life of the process, on import.
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// place is where a test server is, for this process and others.
type place struct {
	Service  string // gcs, s3 or azure
	Endpoint string
	Bucket   string
	Prefix   string
	// Dial and Certificate are of a server that is reached under another's name.
	Dial        string
	Certificate []byte
}

// address is place in the form that storetest hands to contenders.
func (p place) address() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings and bytes have a form
	}
	return string(text)
}

func contend(address string) (objstore.Store, error) {
	var p place
	if err := json.Unmarshal([]byte(address), &p); err != nil {
		return nil, err
	}
	return p.open(context.Background(), nil)
}

// open opens the bucket through client, or, if it is nil, through connections of the store's own.
func (p place) open(ctx context.Context, client *http.Client) (objstore.Store, error) {
	if client == nil && p.Dial != "" {
		client = &http.Client{Transport: p.transport()}
	}
	switch p.Service {
	case "gcs":
		return OpenGCS(ctx, client, p.Bucket, &Options{Prefix: p.Prefix, Endpoint: p.Endpoint})
	case "s3":
		return OpenS3(ctx, client, p.Bucket, &S3Options{Prefix: p.Prefix, Endpoint: p.Endpoint, Credentials: keys(secret)})
	case "azure":
		return OpenAzure(client, p.Bucket, &AzureOptions{Prefix: p.Prefix, Endpoint: p.Endpoint, LookupEnv: lookup(azuriteEnv)})
	}
	return nil, fmt.Errorf("no service %q", p.Service)
}

// transport leads every connection to the server: the endpoint may be Google's.
func (p place) transport() *http.Transport {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(p.Certificate)
	return &http.Transport{
		MaxIdleConnsPerHost: 64,
		TLSClientConfig:     &tls.Config{RootCAs: pool, ServerName: "example.com"},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, p.Dial)
		},
	}
}
