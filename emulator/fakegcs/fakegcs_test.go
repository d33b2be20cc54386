package fakegcs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"

	"cloud.google.com/go/storage"
	"go.uber.org/goleak"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/tidemark-go/tidemark/emulator"
	"github.com/tidemark-go/tidemark/emulator/fakegcs"
)

func TestMain(m *testing.M) {
	// Google's metadata package remembers for the whole process whether it is on Google Cloud, by the first answer: "no" if
	// the first test that touches it has no metadata server.
	if err := os.Setenv("GCE_METADATA_HOST", "127.0.0.1:1"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m,
		// The storage client imports OpenCensus, which starts this goroutine when it is loaded and has no way to end it.
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// client is a storage client whose tokens come from the cloud's metadata server through Google's own code.
func client(t *testing.T, cloud *emulator.Cloud, opts ...option.ClientOption) *storage.Client {
	t.Helper()
	t.Setenv("GCE_METADATA_HOST", cloud.MetadataHost())
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	hc := &http.Client{Transport: &oauth2.Transport{Source: google.ComputeTokenSource(""), Base: transport}}
	opts = append(opts, option.WithEndpoint(cloud.StorageURL()+"/storage/v1/"), option.WithHTTPClient(hc))
	c, err := storage.NewClient(t.Context(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func upload(ctx context.Context, o *storage.ObjectHandle, chunk int, body []byte) error {
	w := o.NewWriter(ctx)
	w.ChunkSize = chunk
	if _, err := w.Write(body); err != nil {
		return err
	}
	return w.Close()
}

func TestStorageClient(t *testing.T) {
	cloud := fakegcs.Start(t, nil)
	if err := cloud.CreateBucket("bucket"); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	body := make([]byte, 600<<10)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range body {
		body[i] = byte(random.Uint32())
	}
	const name = "jobs/a b/ü?+%/HEAD"
	for how, chunk := range map[string]int{"one request": 0, "resumable": 256 << 10} {
		c := client(t, cloud)
		bucket := c.Bucket("bucket")
		o := bucket.Object(name + how)
		if err := upload(ctx, o.If(storage.Conditions{DoesNotExist: true}), chunk, body); err != nil {
			t.Fatalf("upload in %s: %v", how, err)
		}
		var failed *googleapi.Error
		if err := upload(ctx, o.If(storage.Conditions{DoesNotExist: true}), chunk, body); !errors.As(err, &failed) || failed.Code != 412 {
			t.Errorf("create again, %s: %v, want 412", how, err)
		}
		for api, options := range map[string][]option.ClientOption{"JSON": {storage.WithJSONReads()}, "XML": {storage.WithXMLReads()}} {
			read := func(off, n int64) []byte {
				r, err := client(t, cloud, options...).Bucket("bucket").Object(o.ObjectName()).NewRangeReader(ctx, off, n)
				if err != nil {
					t.Errorf("read through %s: %v", api, err)
					return nil
				}
				defer func() { _ = r.Close() }()
				got, err := io.ReadAll(r)
				if err != nil {
					t.Errorf("read through %s: %v", api, err)
				}
				return got
			}
			if !bytes.Equal(read(0, -1), body) {
				t.Errorf("%s, %s: other bytes", how, api)
			}
			if !bytes.Equal(read(1000, 5000), body[1000:6000]) {
				t.Errorf("%s, %s: other bytes in a range", how, api)
			}
		}
		attrs, err := bucket.Objects(ctx, &storage.Query{Prefix: o.ObjectName()}).Next()
		if err != nil || attrs.Size != int64(len(body)) {
			t.Errorf("list: %+v %v", attrs, err)
		}
		if err := o.Delete(ctx); err != nil {
			t.Error(err)
		}
		if _, err := bucket.Objects(ctx, &storage.Query{Prefix: o.ObjectName()}).Next(); !errors.Is(err, iterator.Done) {
			t.Errorf("list after delete: %v", err)
		}
	}
	if n := cloud.Metadata().Stats().TokensIssued; n != 1 {
		t.Errorf("%d tokens issued, want 1", n)
	}
	if c := cloud.Requests(); c.ByOp[emulator.OpRead] != 8 || c.ByOp[emulator.OpDelete] != 2 || c.ByOp[emulator.OpChunk] == 0 {
		t.Errorf("requests: %+v", c)
	}
}

func TestDoor(t *testing.T) {
	cloud := fakegcs.Start(t, nil)
	first := cloud.StoreURL("bucket", "p")
	if again := cloud.StoreURL("bucket", "p"); again != first {
		t.Error("creating a bucket again changed something")
	}
	c := client(t, cloud)
	write := func(c *storage.Client, name string) int {
		err := upload(t.Context(), c.Bucket("bucket").Object(name), 0, []byte("x"))
		var failed *googleapi.Error
		if errors.As(err, &failed) {
			return failed.Code
		}
		if err != nil {
			t.Fatal(err)
		}
		return http.StatusOK
	}
	if got := write(c, "o"); got != http.StatusOK {
		t.Errorf("with a live token: %d", got)
	}
	cloud.Issuer().RevokeAll()
	if got := write(c, "o"); got != http.StatusUnauthorized {
		t.Errorf("with a revoked token: %d", got)
	}
	if got := write(client(t, cloud), "o"); got != http.StatusOK {
		t.Errorf("with a new token: %d", got)
	}
	if err := cloud.SetFaults(emulator.Fault{Match: emulator.Match{Object: "q"}, Then: emulator.Then{Effect: "status", Status: 403}}); err != nil {
		t.Fatal(err)
	}
	if got := write(client(t, cloud), "q"); got != http.StatusForbidden {
		t.Errorf("under a fault: %d", got)
	}
}
