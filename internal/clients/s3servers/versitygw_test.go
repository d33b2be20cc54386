package s3servers

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"

	"github.com/tidemark-go/tidemark/internal/objstore"
	"github.com/tidemark-go/tidemark/internal/objstore/storetest"
)

// gatewayVariable holds, in the process that is the gateway, its address and its directory.
const gatewayVariable = "S3SERVERS_VERSITYGW"

const health = "/.health"

// serveGateway is versitygw until standard input ends, if this process is to be one: it changes the working directory, and there can be one
// to a process.
func serveGateway() bool {
	listen, dir, ok := strings.Cut(os.Getenv(gatewayVariable), " ")
	if !ok {
		return false
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0) // it would wait ten seconds for connections that nobody uses
	}()
	files, err := posix.New(dir, meta.XattrMeta{}, posix.PosixOpts{})
	if err == nil {
		err = embedgw.RunVersityGW(context.Background(), files, &embedgw.Config{
			RootUserAccess: keyID, RootUserSecret: secret, Ports: []string{listen}, HealthPath: health, Quiet: true, KeepAlive: true,
			MaxConnections: 1000, MaxRequests: 1000, MultipartMaxParts: 1,
		})
	}
	fmt.Fprintln(os.Stderr, "versitygw ended:", err)
	os.Exit(1)
	return true
}

// gateway starts versitygw, and returns a function that makes a new bucket in it.
func gateway(t *testing.T) func() place {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen, dir := l.Addr().String(), t.TempDir()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0])
	cmd.Env = append(os.Environ(), gatewayVariable+"="+listen+" "+dir)
	cmd.Stdout, cmd.Stderr = &said, &said
	open, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = open.Close()
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Logf("versitygw: %v\n%s", err, said.String())
		}
	})
	await(t, "http://"+listen+health)
	return func() place {
		bucket := strings.ToLower("t" + rand.Text())
		if err := os.Mkdir(filepath.Join(dir, bucket), 0o755); err != nil {
			t.Fatal(err)
		}
		return place{"http://" + listen, bucket, keyID, secret}
	}
}

// await asks until a server answers, for half a minute at most.
func await(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for range 1500 {
		resp, err := client.Get(url)
		if err == nil && resp.Body.Close() == nil && resp.StatusCode == http.StatusOK {
			return
		}
		<-again.C
	}
	t.Fatalf("%s does not answer", url)
}

// versitygwGaps are known, and stand in docs/stores.md.
var versitygwGaps = map[string]string{
	"SwapDeleteRace": "a deletion does not wait for a conditional write that was judged before it, so an object can be back after both",
}

func TestVersitygwConformance(t *testing.T) {
	bucket := gateway(t)
	var at place
	storetest.Run(t, func(t *testing.T) objstore.Store {
		at = bucket()
		return at.opened(t)
	}, &storetest.Options{Gaps: versitygwGaps, Address: func(objstore.Store) string { return at.address() }})
}

// A server that checks signatures is the judge of ours: another key or id is refused, as credentials.
func TestVersitygwRefusesOtherKeys(t *testing.T) {
	at := gateway(t)()
	for name, wrong := range map[string]place{
		"secret": {at.Endpoint, at.Bucket, keyID, "not" + secret}, "id": {at.Endpoint, at.Bucket, "NOBODY", secret},
	} {
		s := wrong.opened(t)
		_, putErr := s.Put(t.Context(), "k", []byte("x"), objstore.Absent)
		_, _, getErr := s.Get(t.Context(), "k", 1)
		_, statErr := s.Stat(t.Context(), "k")
		for op, err := range map[string]error{"put": putErr, "get": getErr, "stat": statErr, "delete": s.Delete(t.Context(), "k")} {
			if objstore.KindOf(err) != objstore.KindCredentials || strings.Contains(err.Error(), secret) {
				t.Errorf("wrong %s: %s: %v", name, op, err)
			}
		}
	}
}

// TestGapsAreDocumented: what a test leaves out, the reader of the documentation knows.
func TestGapsAreDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../../docs/stores.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, reason := range versitygwGaps {
		row := regexp.MustCompile("\\| versitygw [\\d.]+ \\| `" + name + "` \\| " + regexp.QuoteMeta(reason))
		if !row.Match(doc) {
			t.Errorf("docs/stores.md has no row for versitygw's gap %s: %s", name, reason)
		}
	}
}
