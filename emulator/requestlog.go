package emulator

import (
	"bufio"
	"io"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// PriceTable is what requests and traffic cost, in US dollars.
type PriceTable struct {
	Name      string  `json:"name"`
	ClassA    float64 `json:"class_a"`    // per 1,000 requests
	ClassB    float64 `json:"class_b"`    // per 1,000 requests
	EgressGiB float64 `json:"egress_gib"` // per GiB read
}

// DefaultPrices are Google Cloud Storage's list prices for Standard storage in a region of the United States, read by a
// job in the same region, where traffic is free. Look them up before you rest a decision on them:
// https://cloud.google.com/storage/pricing
var DefaultPrices = PriceTable{Name: "GCS Standard, us-central1, same region", ClassA: 0.005, ClassB: 0.0004}

// RequestCounts is what the storage server was asked since it started or since the last reset. Only what Google bills
// is in ClassA, ClassB and Free: replies with 307, a 4xx or a 5xx status, and those that were cut before their status,
// are in Unbilled.
type RequestCounts struct {
	ClassA   int64 `json:"class_a"`
	ClassB   int64 `json:"class_b"`
	Free     int64 `json:"free"`
	Unbilled int64 `json:"unbilled"`

	ByOp     map[Op]int64     `json:"by_op"`     // billed or not
	ByMethod map[string]int64 `json:"by_method"` // billed or not
	ByStatus map[int]int64    `json:"by_status"` // 0: the connection was cut before a status was sent

	BytesIn  int64 `json:"bytes_in"`  // request bodies
	BytesOut int64 `json:"bytes_out"` // response bodies
}

// Total is the number of requests.
func (c RequestCounts) Total() int64 { return c.ClassA + c.ClassB + c.Free + c.Unbilled }

// Cost estimates what the requests and the bytes read would have cost, in US dollars, without storage.
func (c RequestCounts) Cost(p PriceTable) float64 {
	return float64(c.ClassA)/1000*p.ClassA + float64(c.ClassB)/1000*p.ClassB + float64(c.BytesOut)/(1<<30)*p.EgressGiB
}

// requestLog counts requests on their way through, faults included: it sees what the client sees.
type requestLog struct {
	mu     sync.Mutex
	counts RequestCounts
}

func newRequestLog() *requestLog {
	l := &requestLog{}
	l.reset()
	return l
}

func (l *requestLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts = RequestCounts{ByOp: map[Op]int64{}, ByMethod: map[string]int64{}, ByStatus: map[int]int64{}}
}

func (l *requestLog) snapshot() RequestCounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts
	c.ByOp, c.ByMethod, c.ByStatus = maps.Clone(c.ByOp), maps.Clone(c.ByMethod), maps.Clone(c.ByStatus)
	return c
}

func (l *requestLog) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &countingWriter{ResponseWriter: w}
		in := &countingBody{ReadCloser: r.Body}
		op, method := classify(r).op, r.Method
		counted := r.WithContext(r.Context())
		if r.Body != nil && r.Body != http.NoBody {
			counted.Body = in
		}
		finished := false
		defer func() {
			if !finished && !out.hijacked && out.status == 0 {
				out.status = -1
			}
			l.add(op, method, out, in.n.Load())
		}()
		next.ServeHTTP(out, counted)
		finished = true
	})
}

func (l *requestLog) add(op Op, method string, out *countingWriter, in int64) {
	status := out.status
	switch {
	case out.hijacked || status < 0:
		status = 0
	case status == 0:
		status = http.StatusOK
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &l.counts
	c.ByOp[op]++
	c.ByMethod[method]++
	c.ByStatus[status]++
	c.BytesIn += in
	c.BytesOut += out.n
	switch class := op.Class(); {
	case status == 0 || status == http.StatusTemporaryRedirect || status >= 400:
		c.Unbilled++
	case class == ClassA:
		c.ClassA++
	case class == ClassB:
		c.ClassB++
	default:
		c.Free++
	}
}

type countingBody struct {
	io.ReadCloser
	n atomic.Int64 // a handler may leave a goroutine of its own reading
}

func (b *countingBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n.Add(int64(n))
	return n, err
}

type countingWriter struct {
	http.ResponseWriter
	status   int
	n        int64
	hijacked bool
}

// Unwrap is for http.ResponseController.
func (w *countingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *countingWriter) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *countingWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.n += int64(n)
	return n, err
}

// Hijack notes that no status will come.
func (w *countingWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.hijacked = true
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

// ReadFrom keeps the kernel's file-to-socket path for objects on disk.
func (w *countingWriter) ReadFrom(r io.Reader) (int64, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := io.Copy(w.ResponseWriter, r)
	w.n += n
	return n, err
}
