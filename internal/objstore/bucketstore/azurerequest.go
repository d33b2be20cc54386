package bucketstore

import (
	"context"
	"net/http"
	"time"
)

// azureVersion of the protocol is the least that has all of what is asked for here, among what servers of others know too.
const azureVersion = "2021-12-02"

// send implements service. A token that is refused is the client's to replace.
func (s *Azure) send(ctx context.Context, c *call) (*http.Response, error) {
	return s.exchange(ctx, c, func(r *http.Request) {
		switch {
		case c.method == http.MethodPut && c.object != "":
			r.Header.Set("x-ms-blob-type", "BlockBlob") // up to 5,000 MiB in one request
		case c.method == http.MethodDelete:
			// Whoever took a snapshot of one of our blobs would otherwise keep it from being deleted.
			r.Header.Set("x-ms-delete-snapshots", "include")
		}
		r.Header.Set("x-ms-version", azureVersion)
		r.Header.Set("x-ms-date", time.Now().UTC().Format(http.TimeFormat))
		s.authority.authorize(r)
	})
}
