package demo

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tidemark-go/tidemark"
)

// place is where checkpoints go, and what workers find there.
type place struct {
	cloud               *cloud // nil for a store of the user's own
	store, job          string
	name, about, tokens string // for people
	env                 []string
	remove              string
}

func openPlace(ctx context.Context, o *Options, dir string) (*place, error) {
	if o.Store != "" {
		// What is wrong with the URL or with the credentials is better said before the story begins.
		store, err := tidemark.Open(ctx, o.Store, nil)
		if err != nil {
			return nil, err
		}
		job := fmt.Sprintf("demo-%s-%s", time.Now().UTC().Format("20060102-150405"), strings.ToLower(crand.Text()[:4]))
		return &place{
			store: o.Store, job: job, env: os.Environ(), name: store.String(), about: fmt.Sprintf("%s, job %s", store, job),
			tokens: "as the environment gives them", remove: removal(o.Store, job),
		}, store.Close()
	}
	c, err := startCloud(ctx, o.Storage)
	if err != nil {
		return nil, err
	}
	if err := c.CreateBucket("demo"); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	about := "embedded: the emulator's storage server"
	if o.Storage == StorageFakeGCS {
		about = "embedded: fake-gcs-server"
	}
	return &place{
		cloud: c, store: c.StoreURL("demo", "state"), job: "demo", env: c.environment(dir), name: o.Storage, about: about,
		tokens: fmt.Sprintf("embedded metadata server; a token lives %.0f s and is handed out again until %.0f s are left",
			tokenLifetime.Seconds(), tokenReuse.Seconds()),
	}, nil
}

func (p *place) close() error {
	if p.cloud == nil {
		return nil
	}
	return p.cloud.Close()
}

// removal is the command that removes a job with everything below it.
func removal(store, job string) string {
	u, err := url.Parse(store)
	switch {
	case err != nil:
		return ""
	case u.Scheme == "file":
		return "rm -r " + filepath.Join(filepath.FromSlash(u.Path), job)
	}
	return "gcloud storage rm --recursive " + u.Scheme + "://" + u.Host + strings.TrimSuffix(u.Path, "/") + "/" + job
}
