package s3servers

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.uber.org/goleak"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/bucketstore"
	"github.com/tidemark-go/tidemark/internal/objstore/storetest"
)

func TestMain(m *testing.M) {
	storetest.Contend(func(address string) (objstore.Store, error) {
		var p place
		if err := json.Unmarshal([]byte(address), &p); err != nil {
			return nil, err
		}
		return p.open(context.Background())
	})
	if serveGateway() {
		return
	}
	goleak.VerifyTestMain(m)
	os.Exit(0)
}

const (
	keyID  = "TIDEMARKTEST"
	secret = "bGoa+V7g/yqDXvKRqq+JTFn4uQZbPiQJo4pf9RzJ"
)

// place is where a bucket is, for this process and for the contenders.
type place struct{ Endpoint, Bucket, ID, Secret string }

func (p place) open(ctx context.Context) (*bucketstore.S3, error) {
	return bucketstore.OpenS3(ctx, nil, p.Bucket, &bucketstore.S3Options{
		Prefix: "some/prefix", Endpoint: p.Endpoint, Credentials: credentials.NewStaticCredentialsProvider(p.ID, p.Secret, ""),
	})
}

func (p place) address() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // strings have a form
	}
	return string(text)
}

// opened is the store at p, closed when the test ends.
func (p place) opened(t *testing.T) *bucketstore.S3 {
	t.Helper()
	s, err := p.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
