package demo

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
	"github.com/tidemark-go/tidemark/emulator/fakegcs"
)

// The storage servers that can be embedded.
const (
	StorageTidemark = "tidemark" // the emulator's own
	StorageFakeGCS  = "fake-gcs" // fake-gcs-server, written by others
)

const (
	// GKE's habit in small: it hands out the same token until shortly before its end, which is what defeats caches that
	// refresh at a fixed time before it.
	tokenLifetime = 20 * time.Second
	tokenReuse    = 5 * time.Second
)

// cloud is the embedded storage and metadata server, which outlive every worker.
type cloud struct {
	*emulator.Cloud
	door *door
}

func startCloud(ctx context.Context, storage string) (*cloud, error) {
	d := newDoor()
	var made error
	c, err := emulator.Listen(ctx, &emulator.Options{
		Metadata: &emulator.MetadataOptions{TokenLifetime: tokenLifetime, ReuseUntil: tokenReuse},
		StorageHandler: func(authorize func(string) error) http.Handler {
			checked := func(bearer string) error {
				err := authorize(bearer)
				if err == nil {
					d.accepted(bearer)
				}
				return err
			}
			if storage == StorageFakeGCS {
				var s *fakegcs.Server
				if s, made = fakegcs.New(checked); made == nil {
					d.inside = s
				}
			} else {
				d.inside = emulator.NewStorage(&emulator.StorageOptions{Authorize: checked})
			}
			return d
		},
	})
	if err != nil {
		return nil, err
	}
	if made != nil {
		_ = c.Close() // what went wrong first is what matters
		return nil, fmt.Errorf("start %s: %w", storage, made)
	}
	return &cloud{Cloud: c, door: d}, nil
}

// ownCredentials are the variables by which a user's real credentials, or no credentials at all, would be found before the
// embedded metadata server.
var ownCredentials = []string{
	"GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG",
	"STORAGE_EMULATOR_HOST", "GCE_METADATA_HOST", "GCE_METADATA_IP", "GCE_METADATA_ROOT",
}

// environment is that of a worker in this cloud: what a pod on GKE would find. dir is a directory of the demo's own.
func (c *cloud) environment(dir string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(ownCredentials, name)
	})
	env = append(env, c.Env()...)
	return append(env, "CLOUDSDK_CONFIG="+filepath.Join(dir, "no-gcloud-here"))
}

// recorder keeps a reply back until it is decided whether the client gets it.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
}

func (r *recorder) succeeded() bool { return r.status < http.StatusMultipleChoices }

func (r *recorder) replay(w http.ResponseWriter) {
	for name, values := range r.header {
		w.Header()[name] = values
	}
	if r.status != 0 {
		w.WriteHeader(r.status)
	}
	_, _ = w.Write(r.body.Bytes()) // the client has gone then
}
