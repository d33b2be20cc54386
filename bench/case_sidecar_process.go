package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tidemark-go/tidemark/emulator"
)

// otherPath is where the same account has a token by its own name, which the sidecar does not know to be the same; otherTakes
// is how long the upstream takes for that.
const (
	otherPath  = "/computeMetadata/v1/instance/service-accounts/tidemark@emulator-project.iam.gserviceaccount.com/token"
	otherTakes = 3 * time.Second
)

// sidecarProcess is a sidecar in front of a metadata server of the case.
type sidecarProcess struct {
	upstream      *server
	addr          string
	pid           string
	held, unknown []byte // requests for a token that it holds, and for one that it has to ask for
}

// besideSidecar runs a sidecar as users do, and does something to it. It is for the subject alone.
func (s *stage) besideSidecar(ctx context.Context, c Contender, do func(*sidecarProcess) (Result, error)) (r Result, err error) {
	if c.Name != subject || s.sidecar == nil {
		return r, errNotOffered
	}
	if runtime.GOOS != "linux" {
		return r, errors.New("only Linux tells what another process takes")
	}
	srv, err := s.site.open(habits{life: time.Hour, latency: 2 * time.Millisecond})
	if err != nil {
		return r, err
	}
	defer srv.close()
	scope := srv.endpoint.Scope
	cmd := exec.CommandContext(ctx, s.sidecar[0], append(s.sidecar[1:len(s.sidecar):len(s.sidecar)],
		"--listen", "127.0.0.1:0", "--upstream", srv.endpoint.Host, "--scopes", scope, "--quiet")...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	said := &tail{}
	cmd.Stderr = said
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended already, and Wait says so
		_, _ = io.Copy(io.Discard, out)
		if waited := cmd.Wait(); waited != nil {
			err = errors.Join(err, fmt.Errorf("the sidecar: %w", waited), said.err())
		}
	}()
	var ready struct{ Address string }
	if err := json.NewDecoder(out).Decode(&ready); err != nil {
		return r, fmt.Errorf("the sidecar does not say where it is: %w", err)
	}
	p := &sidecarProcess{upstream: srv, addr: ready.Address, pid: strconv.Itoa(cmd.Process.Pid)}
	p.held, p.unknown = request(tokenPath), request(otherPath)
	if err := srv.faults.Set(emulator.Fault{
		Match: emulator.Match{Server: emulator.ServerMetadata, Path: otherPath}, Then: emulator.Then{Effect: emulator.EffectDelay, For: otherTakes},
	}); err != nil {
		return r, err
	}
	if !awaits(ctx, warmUp, func() bool {
		var l *link
		defer func() { l.close() }()
		status, err := l.ask(&l, p.addr, request("/readyz"), time.Second)
		return err == nil && status == http.StatusOK
	}) {
		return r, errors.New("the sidecar does not become ready")
	}
	return do(p)
}

func request(path string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: metadata.google.internal\r\nMetadata-Flavor: Google\r\n\r\n")
}

// memory is what the sidecar holds.
func (p *sidecarProcess) memory() memory { return ownMemory(p.pid) }

// tick is the unit in which Linux tells processor time to programs, on every architecture.
const tick = 10 * time.Millisecond

// cpu is the processor time that the sidecar has used.
func (p *sidecarProcess) cpu() time.Duration {
	text, err := os.ReadFile("/proc/" + p.pid + "/stat")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(text), ") ") // the name of the program may hold spaces
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64) // a kernel that writes no numbers here would be another system
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * tick
}

// link is a connection to a sidecar. It does less than net/http, whose clients would take more of the machine than what is measured.
type link struct {
	net.Conn
	in *bufio.Reader
}

// ask sends a request over the link, which is made if it is nil and given up after an error or if the sidecar wants it closed.
func (l *link) ask(at **link, addr string, request []byte, within time.Duration) (status int, err error) {
	deadline := time.Now().Add(within)
	if l == nil {
		conn, err := net.DialTimeout("tcp", addr, within)
		if err != nil {
			return 0, err
		}
		l = &link{conn, bufio.NewReaderSize(conn, 1024)}
		*at = l
	}
	keep := false
	defer func() {
		if !keep {
			l.close()
			*at = nil
		}
	}()
	if err := l.SetDeadline(deadline); err != nil {
		return 0, err
	}
	if _, err := l.Write(request); err != nil {
		if resp, early := http.ReadResponse(l.in, nil); early == nil { // the answer came before the request was read
			return resp.StatusCode, resp.Body.Close()
		}
		return 0, err
	}
	resp, err := http.ReadResponse(l.in, nil)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	keep = !resp.Close
	return resp.StatusCode, resp.Body.Close()
}

func (l *link) close() {
	if l != nil {
		_ = l.Close() // nothing is left to send
	}
}
