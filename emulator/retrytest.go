package emulator

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// Where Google's storage-testbench has its retry tests, and the header by which a request belongs to one.
const (
	retryTestPath   = "/retry_test"
	retryTestHeader = "X-Retry-Test-Id"
)

// retryTests are the retry tests of Google's storage-testbench: instructions for the next requests of a method, used up
// one by one. What an instruction does is an effect of the rules (see Fault); here is only when.
//
//	POST /retry_test          {"instructions": {"storage.objects.get": ["return-503"]}}, answered with an id
//	GET /retry_test/{id}      the instructions that are left; completed if none is
//	DELETE /retry_test/{id}
type retryTests struct {
	faults *Faults
	any    atomic.Bool // until the first test a request costs one load

	mu    sync.Mutex
	tests map[string]retryTest
}

// retryTest is the instructions that are left, by method of the JSON API.
type retryTest map[string][]instruction

type retryTestResource struct {
	ID           string              `json:"id"`
	Instructions map[string][]string `json:"instructions"`
	Transport    string              `json:"transport"`
	Completed    bool                `json:"completed"`
}

// control answers for the resource and lets everything else pass.
func (t *retryTests) control(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.URL.Path, retryTestPath)
		id, isID := strings.CutPrefix(rest, "/")
		switch {
		case !ok || rest != "" && !isID:
			next.ServeHTTP(w, r)
		case id == "" && r.Method == http.MethodPost:
			t.create(w, r)
		case id != "" && r.Method == http.MethodGet:
			t.show(w, id)
		case id != "" && r.Method == http.MethodDelete:
			t.remove(w, id)
		default:
			apiError(w, http.StatusMethodNotAllowed, "POST "+retryTestPath+", GET and DELETE "+retryTestPath+"/{id} are served")
		}
	})
}

func (t *retryTests) create(w http.ResponseWriter, r *http.Request) {
	var in retryTestResource
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxForm)).Decode(&in); err != nil {
		apiError(w, http.StatusBadRequest, "a retry test is JSON with instructions: "+err.Error())
		return
	}
	if in.Transport != "" && !strings.EqualFold(in.Transport, "http") {
		apiError(w, http.StatusNotImplemented, "the emulator has no transport but HTTP")
		return
	}
	test := make(retryTest, len(in.Instructions))
	for method, texts := range in.Instructions {
		if !servedMethod(method) {
			apiError(w, http.StatusNotImplemented, "the emulator has no instructions for the method "+method)
			return
		}
		for _, text := range texts {
			one, err := parseInstruction(text)
			if err != nil {
				apiError(w, http.StatusBadRequest, err.Error())
				return
			}
			test[method] = append(test[method], one)
		}
	}
	id := rand.Text()
	t.mu.Lock()
	if t.tests == nil {
		t.tests = make(map[string]retryTest)
	}
	t.tests[id] = test
	t.mu.Unlock()
	t.any.Store(true)
	t.show(w, id)
}

func (t *retryTests) show(w http.ResponseWriter, id string) {
	out := retryTestResource{ID: id, Transport: "HTTP", Completed: true, Instructions: map[string][]string{}}
	t.mu.Lock()
	test, ok := t.tests[id]
	for method, left := range test {
		for _, one := range left {
			out.Instructions[method] = append(out.Instructions[method], one.text)
			out.Completed = false
		}
	}
	t.mu.Unlock()
	if !ok {
		apiError(w, http.StatusNotFound, "there is no such retry test")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out)
}

func (t *retryTests) remove(w http.ResponseWriter, id string) {
	t.mu.Lock()
	_, ok := t.tests[id]
	delete(t.tests, id)
	t.mu.Unlock()
	if !ok {
		apiError(w, http.StatusNotFound, "there is no such retry test")
	}
}

// wrap lets requests suffer what their test has in store for them.
func (t *retryTests) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !t.any.Load() || r.Header.Get(retryTestHeader) == "" {
			next.ServeHTTP(w, r)
			return
		}
		then, struck, known := t.take(r)
		switch {
		case !known:
			apiError(w, http.StatusBadRequest, retryTestHeader+" names no retry test: it was never created, or is deleted")
		case !struck:
			next.ServeHTTP(w, r)
		default:
			u := &rule{Fault: Fault{Name: "retry test", Then: then}}
			effects[then.Effect].run(&strike{Faults: t.faults, rule: u, server: ServerStorage, next: next}, w, r)
		}
	})
}

// take uses up the next instruction for r, if its time has come.
func (t *retryTests) take(r *http.Request) (then Then, struck, known bool) {
	method := apiMethod(r)
	t.mu.Lock()
	defer t.mu.Unlock()
	test, known := t.tests[r.Header.Get(retryTestHeader)]
	left := test[method]
	if len(left) == 0 {
		return Then{}, false, known
	}
	then, struck = left[0].strike(r)
	if struck {
		test[method] = left[1:]
	}
	return then, struck, known
}
