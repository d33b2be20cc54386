package bucketstore

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/tidemark-go/tidemark/internal/objstore"
)

// s3Batch is the most that Amazon (docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html) and Google
// (cloud.google.com/storage/docs/xml-api/post-bucket) take.
const s3Batch = 1000

// s3Delete is the body of DeleteObjects. It is not quiet: then what a request did not reach could not be told from what it deleted.
type s3Delete struct {
	XMLName xml.Name   `xml:"Delete"`
	Space   string     `xml:"xmlns,attr,omitempty"`
	Objects []s3Object `xml:"Object"`
}

type s3Object struct{ Key string }

// s3Deleted is the answer to it.
type s3Deleted struct {
	XMLName xml.Name   `xml:"DeleteResult"`
	Deleted []s3Object `xml:"Deleted"`
	Errors  []struct {
		Key           string
		Code, Message string
	} `xml:"Error"`
}

// BatchSize implements objstore.BatchDeleter.
func (s *S3) BatchSize() int {
	if s.noBatch.Load() {
		return 1
	}
	return s3Batch
}

// DeleteBatch implements objstore.BatchDeleter. On a server without DeleteObjects it deletes one by one.
func (s *S3) DeleteBatch(ctx context.Context, keys []string) (failed map[string]error, err error) {
	if len(keys) > 1 && !s.noBatch.Load() {
		failed, err = s.deleteObjects(ctx, keys)
		if objstore.KindOf(err) != objstore.KindUnsupported {
			return failed, err
		}
		s.noBatch.Store(true)
	}
	failed = map[string]error{}
	for _, key := range keys {
		if err := s.Delete(ctx, key); err != nil {
			failed[key] = err
		}
	}
	return failed, nil
}

func (s *S3) deleteObjects(ctx context.Context, keys []string) (failed map[string]error, err error) {
	const op = "delete"
	request := s3Delete{Space: s.d.space()}
	left := make(map[string]string, len(keys)) // keys by their names, as long as nothing was said of them
	for _, key := range keys {
		name, err := s.locate(ctx, op, key)
		if err != nil {
			return nil, err
		}
		left[name] = key
		request.Objects = append(request.Objects, s3Object{name})
	}
	body, err := xml.Marshal(request)
	if err != nil {
		return nil, &objstore.Error{Kind: objstore.KindInvalid, Op: op, Key: keys[0], Err: err}
	}
	sum := md5.Sum(body) // of a body this small it costs nothing, and it is what every server takes for the checksum that this call must have
	c := &call{
		op: op, key: keys[0], class: objstore.ClassDelete, method: http.MethodPost, query: url.Values{"delete": {""}}, body: body,
		header: http.Header{"Content-Md5": {base64.StdEncoding.EncodeToString(sum[:])}, "Content-Type": {"application/xml"}},
	}
	resp, err := s.send(ctx, c)
	if err != nil {
		return nil, err
	}
	defer c.release()
	defer func() { _ = resp.Body.Close() }() // only frees the connection
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxPageBody))
	if err != nil {
		return nil, s.fail(ctx, c, err)
	}
	var result s3Deleted
	if xml.Unmarshal(answer, &result) != nil {
		return nil, s.fail(ctx, c, fmt.Errorf("%w, or it is no whole answer to a batch", errForeign))
	}
	for _, o := range result.Deleted {
		delete(left, o.Key)
	}
	failed = map[string]error{}
	for i := range result.Errors {
		e := &result.Errors[i]
		key, ours := left[e.Key]
		delete(left, e.Key)
		if err := refusedKey(c, key, e.Code, e.Message); ours && err.Kind != objstore.KindNotFound {
			failed[key] = err
		}
	}
	for _, key := range left {
		failed[key] = &objstore.Error{Kind: objstore.KindUnavailable, Op: op, Key: key, Err: errForeign}
	}
	return failed, nil
}

// statusOfCode stands for the status that a key of a batch has none of.
var statusOfCode = map[string]int{
	"AccessDenied": http.StatusForbidden, "NoSuchKey": http.StatusNotFound, "InternalError": http.StatusInternalServerError,
	"ServiceUnavailable": http.StatusServiceUnavailable, "PreconditionFailed": http.StatusPreconditionFailed,
}

// refusedKey gives the refusal of one key its kind.
func refusedKey(c *call, key, code, message string) *objstore.Error {
	status, ok := statusOfCode[code]
	if !ok {
		status = http.StatusBadRequest
		if strings.Contains(code, "Unavailable") || strings.Contains(code, "Internal") {
			status = http.StatusServiceUnavailable
		}
	}
	e := &objstore.Error{Op: c.op, Key: key, Kind: s3Kind(c, status, code), Err: &serviceError{Code: code, Message: message}}
	if e.Kind == objstore.KindPermission {
		e.Permission, e.Principal = s3Refusal(message)
	}
	return e
}
