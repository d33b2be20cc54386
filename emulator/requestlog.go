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

	ByOp     map[Op]int64     `json:"by_op"`     // billed or not, as soon as they arrive
	ByMethod map[string]int64 `json:"by_method"` // the same
	ByStatus map[int]int64    `json:"by_status"` // 0: the connection was cut before a status was sent

	BytesIn  int64 `json:"bytes_in"`  // request bodies
	BytesOut int64 `json:"bytes_out"` // response bodies
}

// Total is the number of requests that were answered or cut.
func (c RequestCounts) Total() int64 { return c.ClassA + c.ClassB + c.Free + c.Unbilled }

// Cost estimates what the requests and the bytes read would have cost, in US dollars, without storage.
func (c RequestCounts) Cost(p PriceTable) float64 {
	return float64(c.ClassA)/1000*p.ClassA + float64(c.ClassB)/1000*p.ClassB + float64(c.BytesOut)/(1<<30)*p.EgressGiB
}

// requestLog counts requests on their way through, faults included: it sees what the client sees. Each thing is counted before
// the client can know of it, so that whoever has seen a reply finds it in the counts.
type requestLog struct {
	bytesIn, bytesOut atomic.Int64

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
	l.bytesIn.Store(0)
	l.bytesOut.Store(0)
	l.counts = RequestCounts{ByOp: map[Op]int64{}, ByMethod: map[string]int64{}, ByStatus: map[int]int64{}}
}

func (l *requestLog) snapshot() RequestCounts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts
	c.ByOp, c.ByMethod, c.ByStatus = maps.Clone(c.ByOp), maps.Clone(c.ByMethod), maps.Clone(c.ByStatus)
	c.BytesIn, c.BytesOut = l.bytesIn.Load(), l.bytesOut.Load()
	return c
}

func (l *requestLog) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := &loggedReply{ResponseWriter: w, log: l, op: classify(r).op}
		l.arrived(out.op, r.Method)
		in := r
		if r.Body != nil && r.Body != http.NoBody {
			in = r.WithContext(r.Context())
			in.Body = &loggedBody{ReadCloser: r.Body, log: l}
		}
		defer out.answered(0) // a handler that panics cuts the connection
		next.ServeHTTP(out, in)
		out.answered(http.StatusOK)
	})
}

func (l *requestLog) arrived(op Op, method string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counts.ByOp[op]++
	l.counts.ByMethod[method]++
}

func (l *requestLog) answered(op Op, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &l.counts
	c.ByStatus[status]++
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

type loggedBody struct {
	io.ReadCloser
	log *requestLog
}

func (b *loggedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.log.bytesIn.Add(int64(n))
	return n, err
}

type loggedReply struct {
	http.ResponseWriter
	log  *requestLog
	op   Op
	done bool
}

// answered counts the first status.
func (w *loggedReply) answered(status int) {
	if !w.done {
		w.done = true
		w.log.answered(w.op, status)
	}
}

// Unwrap is for http.ResponseController.
func (w *loggedReply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *loggedReply) WriteHeader(status int) {
	if status >= http.StatusOK {
		w.answered(status)
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *loggedReply) Write(p []byte) (int, error) {
	w.answered(http.StatusOK)
	w.log.bytesOut.Add(int64(len(p)))
	n, err := w.ResponseWriter.Write(p)
	w.log.bytesOut.Add(int64(n - len(p)))
	return n, err
}

// Hijack is how a connection is reset: no status will come.
func (w *loggedReply) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.answered(0)
	return http.NewResponseController(w.ResponseWriter).Hijack()
}
