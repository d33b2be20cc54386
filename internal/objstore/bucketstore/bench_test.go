package bucketstore

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloud.google.com/go/storage"
	"gocloud.dev/blob/gcsblob"
	"google.golang.org/api/option"

	"github.com/tidemark-go/tidemark/emulator"
	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/transport"
)

// serveVariable makes a child process of this test binary serve, so that a benchmark can tell the client's processor time from the server's.
const serveVariable = "TIDEMARK_BUCKETSTORE_BENCHMARK_SERVER"

// TestServeForBenchmarks is that child; without the variable there is nothing to do.
func TestServeForBenchmarks(t *testing.T) {
	if os.Getenv(serveVariable) == "" {
		return
	}
	srv := httptest.NewServer(emulator.NewStorage(&emulator.StorageOptions{AutoCreate: true}))
	defer srv.Close()
	fmt.Println(srv.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark is over
}

func serveApart(b *testing.B) (url string, stop func() float64) {
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
	line, err := lines.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line), func() float64 {
		_ = stdin.Close()
		_, _ = io.Copy(io.Discard, lines)
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
		return (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	}
}

// processorTime is what this process has used.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// storageClient is a bucket as a user opens it, best settings included: what a Store does through the storage client.
func storageClient(b *testing.B, url string, rt http.RoundTripper) *Store {
	c, err := storage.NewClient(b.Context(), option.WithHTTPClient(&http.Client{Transport: rt}), option.WithoutAuthentication(), storage.WithJSONReads(), option.WithEndpoint(url+"/storage/v1/"))
	if err != nil {
		b.Fatal(err)
	}
	bucket, err := gcsblob.OpenBucket(b.Context(), nil, "acme", &gcsblob.Options{Client: c})
	if err != nil {
		b.Fatal(err)
	}
	s, err := New(bucket, nil)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkTransfer pairs the storage client with what OpenGCS does, over connections as net/http makes them and over a Pool, against an
// emulator in another process. Run it with -count and compare within one run.
func BenchmarkTransfer(b *testing.B) {
	_, stop := serveApart(b)
	idle := stop()
	for _, size := range []int{4 << 10, 8 << 20} {
		for _, op := range []string{"put", "range"} {
			for _, kind := range []string{"client", "raw-plain", "raw-pool"} {
				b.Run(fmt.Sprintf("%s/%d/%s", op, size, kind), func(b *testing.B) {
					url, stop := serveApart(b)
					plain := http.DefaultTransport.(*http.Transport).Clone()
					pool := transport.New(nil)
					var s *Store
					var err error
					switch kind {
					case "client":
						s = storageClient(b, url, plain)
					case "raw-plain":
						s, err = OpenGCS(b.Context(), &http.Client{Transport: plain}, "acme", &Options{Endpoint: url})
					case "raw-pool":
						s, err = OpenGCS(b.Context(), &http.Client{Transport: pool}, "acme", &Options{Endpoint: url})
					}
					if err != nil {
						b.Fatal(err)
					}
					body, p := make([]byte, size), make([]byte, size)
					versions := make([]objstore.Version, 8)
					run := func(n int) {
						if op == "put" {
							versions[n%8], err = s.Put(b.Context(), fmt.Sprint("k", n%8), body, versions[n%8])
						} else {
							err = s.ReadRange(b.Context(), "k0", 0, p)
						}
						if err != nil {
							b.Fatal(err)
						}
					}
					if versions[0], err = s.Put(b.Context(), "k0", body, objstore.Absent); err != nil {
						b.Fatal(err)
					}
					b.SetBytes(int64(size))
					b.ReportAllocs()
					runtime.GC()
					n, before := 0, processorTime(b)
					for b.Loop() {
						run(n)
						n++
					}
					gb := float64(n) * float64(size) / 1e9
					b.ReportMetric((processorTime(b)-before).Seconds()/gb, "client-CPU-s/GB")
					_ = pool.Close()
					plain.CloseIdleConnections()
					b.ReportMetric((stop()-idle)/gb, "server-CPU-s/GB")
				})
			}
		}
	}
}
