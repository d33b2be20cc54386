package emulator

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
)

// pathBatch is where many calls of the JSON API are sent at once, see https://cloud.google.com/storage/docs/batch.
const pathBatch = "/batch/storage/v1"

const (
	maxBatch     = 100
	maxBatchBody = 10 << 20
)

func isBatch(r *http.Request) bool { return r.URL.Path == pathBatch && r.Method == http.MethodPost }

// serveBatch lets each serve every call of a batch, in order.
func serveBatch(w http.ResponseWriter, r *http.Request, each http.Handler) {
	calls, ids, err := readBatch(r)
	if err != nil {
		fail(w, r, &call{}, err)
		return
	}
	var body bytes.Buffer
	parts := multipart.NewWriter(&body)
	for i, inner := range calls {
		head := map[string][]string{"Content-Type": {"application/http"}}
		if ids[i] != "" {
			head["Content-ID"] = []string{"<response-" + strings.TrimPrefix(ids[i], "<")}
		}
		part, err := parts.CreatePart(head)
		if err != nil {
			panic(err) // nothing but memory is written to
		}
		answer := batchReply{header: http.Header{}}
		each.ServeHTTP(&answer, inner)
		answer.writeTo(part)
	}
	_ = parts.Close() // nothing but memory is written to
	w.Header().Set("Content-Type", "multipart/mixed; boundary="+parts.Boundary())
	w.Header().Set("Content-Length", fmt.Sprint(body.Len()))
	_, _ = w.Write(body.Bytes()) // a client that leaves hears nothing more
}

// readBatch takes a batch apart. What is said of a batch as a whole holds for each of its calls that says nothing of it.
func readBatch(r *http.Request) (calls []*http.Request, ids []string, err error) {
	mediaType, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "multipart/mixed" {
		return nil, nil, errInvalid("A batch needs Content-Type: multipart/mixed; boundary=…")
	}
	limited := &io.LimitedReader{R: r.Body, N: maxBatchBody}
	parts := multipart.NewReader(limited, params["boundary"])
	for {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) && limited.N > 0 {
			break
		}
		if err != nil {
			return nil, nil, errInvalid("The body is no batch of at most %d bytes: %v", maxBatchBody, err)
		}
		inner, err := http.ReadRequest(bufio.NewReader(part))
		if err != nil {
			return nil, nil, errInvalid("Call %d of the batch is no HTTP request: %v", len(calls)+1, err)
		}
		content, err := io.ReadAll(inner.Body)
		if err != nil {
			return nil, nil, errInvalid("Call %d of the batch breaks off: %v", len(calls)+1, err)
		}
		if !strings.HasPrefix(inner.URL.Path, prefixJSON) || inner.URL.Query().Get("alt") == "media" {
			return nil, nil, errInvalid("Call %d of the batch is none of the JSON API's, or a download, which batches cannot have.", len(calls)+1)
		}
		if len(calls) == maxBatch {
			return nil, nil, errInvalid("A batch has at most %d calls.", maxBatch)
		}
		inner.Body, inner.RemoteAddr = io.NopCloser(bytes.NewReader(content)), r.RemoteAddr
		if inner.Header.Get("Authorization") == "" {
			inner.Header["Authorization"] = r.Header["Authorization"]
		}
		calls, ids = append(calls, inner.WithContext(r.Context())), append(ids, part.Header.Get("Content-ID"))
	}
	if len(calls) == 0 {
		return nil, nil, errInvalid("The batch is empty.")
	}
	return calls, ids, nil
}

// batchReply keeps an answer in memory.
type batchReply struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *batchReply) Header() http.Header { return b.header }

func (b *batchReply) WriteHeader(status int) {
	if b.status == 0 {
		b.status = status
	}
}

func (b *batchReply) Write(p []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	return b.body.Write(p)
}

func (b *batchReply) writeTo(w io.Writer) {
	b.WriteHeader(http.StatusOK)
	if b.status != http.StatusNoContent {
		b.header.Set("Content-Length", fmt.Sprint(b.body.Len()))
	}
	// Nothing but memory is written to.
	_, _ = fmt.Fprintf(w, "HTTP/1.1 %d %s\r\n", b.status, http.StatusText(b.status))
	_ = b.header.Write(w)
	_, _ = io.WriteString(w, "\r\n")
	_, _ = w.Write(b.body.Bytes())
	_, _ = io.WriteString(w, "\r\n")
}
