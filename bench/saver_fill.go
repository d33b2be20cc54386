package bench

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"google.golang.org/protobuf/proto"

	"github.com/tidemark-go/tidemark/internal/format"
)

// Fill makes HEAD that of a job that retains n checkpoints: copies of the last one's entry, each with a number, a nonce and a hash of its own. To commit so many
// would take hours, since each commit writes all of HEAD. Nothing but HEAD is written: the copies have no manifests. The owner of before is fenced by none of it, but has to be
// replaced (Own), because its numbers are used up.
func (s *tidemarkSession) Fill(ctx context.Context, n int) error {
	key := "state/" + format.HeadKey(benchJob)
	text, err := s.raw(ctx, http.MethodGet, "/"+benchBucket+"/"+key, nil)
	if err != nil {
		return err
	}
	h, err := format.DecodeHead(text)
	if err != nil {
		return err
	}
	if len(h.Retained) == 0 {
		return errors.New("bench: no checkpoint to copy")
	}
	for len(h.Retained) < n {
		r := proto.CloneOf(h.Retained[len(h.Retained)-1])
		r.Id.Checkpoint++
		for _, random := range [][]byte{r.ManifestNonce, r.ManifestHash} {
			_, _ = crand.Read(random) // it never fails
		}
		h.Retained = append(h.Retained, r)
		h.Last, h.LastManifest, h.LastBody = r.Id, r.ManifestNonce, nil
	}
	if text, err = format.EncodeHead(h); err != nil {
		return err
	}
	_, err = s.raw(ctx, http.MethodPost, "/upload/storage/v1/b/"+benchBucket+"/o?uploadType=media&name="+url.QueryEscape(key), text)
	return err
}

// raw sends one request to the store, as its metadata server's account.
func (s *tidemarkSession) raw(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	var token struct {
		Value string `json:"access_token"`
	}
	metadata := "http://" + os.Getenv("GCE_METADATA_HOST") + "/computeMetadata/v1/instance/service-accounts/default/token"
	text, err := exchange(ctx, http.MethodGet, metadata, nil, http.Header{"Metadata-Flavor": {"Google"}})
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &token); err != nil {
		return nil, err
	}
	return exchange(ctx, method, s.storage+path, body, http.Header{"Authorization": {"Bearer " + token.Value}})
}

func exchange(ctx context.Context, method, to string, body []byte, header http.Header) (_ []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, to, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header = header
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, reply.Body.Close()) }()
	text, err := io.ReadAll(reply.Body)
	if err == nil && reply.StatusCode != http.StatusOK {
		err = fmt.Errorf("bench: %s %s: %s", method, to, reply.Status)
	}
	return text, err
}
