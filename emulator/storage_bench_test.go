package emulator

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"cloud.google.com/go/storage"
)

// serveVariable makes a child process of this test binary serve, so that a benchmark can tell the server's processor time
// from its client's.
const serveVariable = "TIDEMARK_EMULATOR_BENCHMARK_SERVER"

// TestServeForBenchmarks is that child; without the variable there is nothing to do.
func TestServeForBenchmarks(t *testing.T) {
	if os.Getenv(serveVariable) == "" {
		return
	}
	_, srv := newTestStorage(t, nil)
	fmt.Println(srv.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark is over
}

// serveApart returns a server in a process of its own, and a function that ends it and reports the seconds of processor
// time that it took.
func serveApart(b *testing.B) (srv *httptest.Server, stop func() float64) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestServeForBenchmarks$")
	cmd.Env = append(os.Environ(), serveVariable+"=1")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	lines := bufio.NewReader(stdout)
	url, err := lines.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return &httptest.Server{URL: strings.TrimSpace(url)}, func() float64 {
		_ = stdin.Close()
		_, _ = io.Copy(io.Discard, lines)
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
		return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	}
}

// BenchmarkStorage reports the server's processor time per GB, of which at most 0.5 s are wanted. What it takes to start
// and to end is subtracted. Few iterations measure fresh memory, many measure reused memory, which costs half.
func BenchmarkStorage(b *testing.B) {
	_, stop := serveApart(b)
	idle := stop()
	const size = 16 << 20
	body := noise(size)
	rawPut := func(srv *httptest.Server, client *http.Client, name string) error {
		return drain(client.Post(srv.URL+"/upload/storage/v1/b/"+testBucket+"/o?uploadType=media&name="+name, "", bytes.NewReader(body)))
	}
	for _, c := range []struct {
		name string
		run  func(srv *httptest.Server, hc *http.Client, sdk *storage.Client, i int) error
	}{
		{"put/media", func(srv *httptest.Server, hc *http.Client, _ *storage.Client, i int) error {
			return rawPut(srv, hc, fmt.Sprint("o", i%8))
		}},
		{"put/client", func(_ *httptest.Server, _ *http.Client, sdk *storage.Client, i int) error {
			_, err := put(b.Context(), sdk.Bucket(testBucket).Object(fmt.Sprint("o", i%8)), body, 0)
			return err
		}},
		{"put/client/resumable", func(_ *httptest.Server, _ *http.Client, sdk *storage.Client, i int) error {
			_, err := put(b.Context(), sdk.Bucket(testBucket).Object(fmt.Sprint("o", i%8)), body, 4<<20)
			return err
		}},
		{"get/xml", func(srv *httptest.Server, hc *http.Client, _ *storage.Client, _ int) error {
			return drain(hc.Get(srv.URL + "/" + testBucket + "/o"))
		}},
		{"get/json", func(srv *httptest.Server, hc *http.Client, _ *storage.Client, _ int) error {
			return drain(hc.Get(srv.URL + "/storage/v1/b/" + testBucket + "/o/o?alt=media"))
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			srv, stop := serveApart(b)
			hc, sdk := newHTTPClient(b, ""), newTestClient(b, srv)
			if strings.HasPrefix(c.name, "get") {
				if err := rawPut(srv, hc, "o"); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(size)
			n := 0
			for b.Loop() {
				if err := c.run(srv, hc, sdk, n); err != nil {
					b.Fatal(err)
				}
				n++
			}
			b.ReportMetric((stop()-idle)/(float64(n)*size/1e9), "server-CPU-s/GB")
		})
	}
}

// BenchmarkStorageSmall reports what requests cost when objects are small, and many.
func BenchmarkStorageSmall(b *testing.B) {
	for _, objects := range []int{1000, 100_000} {
		b.Run(fmt.Sprint(objects, " objects"), func(b *testing.B) {
			s := NewStorage(&StorageOptions{AutoCreate: true})
			body := noise(1000)
			put := func(i int) {
				r := httptest.NewRequest(http.MethodPost, fmt.Sprintf("/upload/storage/v1/b/many/o?uploadType=media&name=o%d", i), bytes.NewReader(body))
				s.ServeHTTP(httptest.NewRecorder(), r)
			}
			for i := range objects {
				put(i)
			}
			n := 0
			for b.Loop() {
				put(n % objects)
				n += 7919 // a prime: neighbours in time are not neighbours by name
			}
		})
	}
}

func drain(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %s", resp.Status)
	}
	return err
}
