package bucketstore

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"

	"google.golang.org/api/googleapi"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/transport"
)

// gcsBatch is how many calls one request carries at most, and "deleting many objects" is what it is for:
// https://cloud.google.com/storage/docs/batch. The calls are billed and limited one by one (deletions cost nothing); what is spared is round trips.
const gcsBatch = 100

// BatchSize implements objstore.BatchDeleter.
func (s *Store) BatchSize() int {
	if s.raw == nil || s.raw.noBatch.Load() {
		return 1
	}
	return gcsBatch
}

// DeleteBatch implements objstore.BatchDeleter. In a bucket of the caller's, and on a server that has no batches, it deletes one by one.
func (s *Store) DeleteBatch(ctx context.Context, keys []string) (failed map[string]error, err error) {
	const op = "delete"
	failed = map[string]error{}
	if len(keys) > 1 && s.BatchSize() > 1 {
		actx, names, err := s.beginBatch(ctx, keys)
		if err != nil {
			return nil, err
		}
		answers, err := s.raw.delete(actx, names)
		if err == nil {
			for i, err := range answers {
				if err = s.settle(ctx, actx, keys[i], err); err != nil {
					failed[keys[i]] = err
				}
			}
			return failed, nil
		}
		if !isNoBatch(err) {
			return nil, s.fail(actx, op, keys[0], err)
		}
		s.raw.noBatch.Store(true)
	}
	for _, key := range keys {
		if err := s.Delete(ctx, key); err != nil {
			failed[key] = err
		}
	}
	return failed, nil
}

func (s *Store) beginBatch(ctx context.Context, keys []string) (actx context.Context, names []string, err error) {
	for _, key := range keys {
		var name string
		if actx, name, err = s.begin(ctx, "delete", key, objstore.ClassDelete); err != nil {
			return nil, nil, err
		}
		names = append(names, name)
	}
	return actx, names, nil
}

// settle is what became of one key.
func (s *Store) settle(ctx, actx context.Context, key string, err error) error {
	if err == nil {
		return nil
	}
	err = s.fail(actx, "delete", key, err)
	switch objstore.KindOf(err) {
	case objstore.KindNotFound:
		return nil
	case objstore.KindCredentials:
		// A token that ended meanwhile is refused inside an answer whose own status is 200, where nobody looks who could renew it.
		return s.Delete(ctx, key)
	}
	return err
}

// isNoBatch tells a server that does not know the path from one that refuses.
func isNoBatch(err error) bool {
	var answer *googleapi.Error
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.Code {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

var errNoBatchAnswer = fmt.Errorf("%w, or it is no whole answer to a batch", errForeign)

// delete sends one batch. It returns, for each name, what the service said, or why the batch as a whole failed.
func (g *rawGCS) delete(ctx context.Context, names []string) ([]error, error) {
	boundary := rand.Text()
	var body bytes.Buffer
	for i, name := range names {
		path := g.endpoint.EscapedPath() + "b/" + g.bucket + "/o/" + url.PathEscape(name)
		fmt.Fprintf(&body, "--%s\r\nContent-Type: application/http\r\nContent-ID: <%s+%d>\r\n\r\nDELETE %s HTTP/1.1\r\n\r\n\r\n", boundary, boundary, i, path)
	}
	fmt.Fprintf(&body, "--%s--\r\n", boundary)
	r := &http.Request{
		Method: http.MethodPost, URL: g.at("/batch/storage/", "v1", ""),
		Header: http.Header{"Content-Type": {"multipart/mixed; boundary=" + boundary}},
	}
	payload := transport.NewPayload(body.Bytes())
	payload.Attach(r)
	defer payload.Release()
	resp, err := g.do(ctx, r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // before the Release above
	mediaType, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/mixed" {
		return nil, errNoBatchAnswer
	}
	// The answers come in the order of the calls.
	answers := make([]error, len(names))
	all := io.LimitReader(resp.Body, maxPageBody)
	parts := multipart.NewReader(all, params["boundary"])
	for i := range names {
		if answers[i], err = answerOf(parts); err != nil {
			return nil, err
		}
	}
	_, _ = io.Copy(io.Discard, all) // to its end, or the connection could not be used again
	return answers, nil
}

// answerOf reads the answer to one call: said is what the service has against it.
func answerOf(parts *multipart.Reader) (said, err error) {
	part, err := parts.NextRawPart()
	if err != nil {
		return nil, errors.Join(errNoBatchAnswer, err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(part), &http.Request{Method: http.MethodDelete})
	if err != nil {
		return nil, errors.Join(errNoBatchAnswer, err)
	}
	defer func() { _ = resp.Body.Close() }() // it is memory
	return googleapi.CheckResponse(resp), nil
}
