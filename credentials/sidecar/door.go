package sidecar

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"
)

// hostNames are the names under which a metadata server is known, and those that were configured.
func hostNames(configured []string) map[string]bool {
	names := map[string]bool{"localhost": true, "metadata": true, "metadata.google.internal": true}
	for _, name := range configured {
		names[plainHost(name)] = true
	}
	return names
}

// wellKnown are the addresses of Google's metadata server. Where packets to them are redirected here, clients use them.
var wellKnown = map[netip.Addr]bool{
	netip.MustParseAddr("169.254.169.254"): true,
	netip.MustParseAddr("fd20:ce::254"):    true,
}

func plainHost(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// knowsHost reports whether a request is meant for this server. A page in a browser can make a name of its own resolve to
// loopback and then read what is answered there (DNS rebinding), but it cannot keep its name out of the request.
func (s *Server) knowsHost(r *http.Request) bool {
	host := plainHost(r.Host)
	if host == "" || s.hosts[host] { // a request of HTTP/1.0 names none; browsers do not speak that
		return true
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return false
	}
	if ip.IsLoopback() || wellKnown[ip] {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.AddrPort().Addr().Unmap() == ip.Unmap()
}

// enter answers the requests that are none of this server's business, and reports whether it is to go on with this one.
func (s *Server) enter(w http.ResponseWriter, r *http.Request) bool {
	switch {
	case r.ContentLength != 0:
		// Nothing here takes a body. One that dribbles in must not keep the connection.
		s.count.methods.Add(1)
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second)) // not every writer has one
		w.Header().Set("Connection", "close")
		s.text(w, http.StatusRequestEntityTooLarge, "a request for metadata has no body")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		s.count.methods.Add(1)
		w.Header().Set("Allow", "GET, HEAD")
		s.text(w, http.StatusMethodNotAllowed, "metadata can only be read: GET or HEAD")
	case !s.knowsHost(r):
		s.count.hosts.Add(1)
		s.refused(r, "foreign host name")
		s.text(w, http.StatusForbidden, "this server does not go by the name in Host")
	case strings.Contains(strings.Join(r.Header["Via"], ","), s.via):
		s.count.loops.Add(1)
		s.refused(r, "loop")
		s.text(w, http.StatusLoopDetected, "this server is its own upstream; name another one")
	default:
		return true
	}
	return false
}

// flavored refuses what a proxy forwarded for a stranger, and what a page in a browser can send without asking first.
func (s *Server) flavored(w http.ResponseWriter, r *http.Request, probe bool) bool {
	switch {
	case len(r.Header["X-Forwarded-For"]) > 0:
		s.count.forwarded.Add(1)
		s.refused(r, "forwarded")
		s.text(w, http.StatusForbidden, "a request with X-Forwarded-For comes from elsewhere")
	case !probe && r.Header.Get("Metadata-Flavor") != "Google":
		s.count.flavorless.Add(1)
		s.refused(r, "no Metadata-Flavor")
		s.text(w, http.StatusForbidden, "missing header Metadata-Flavor: Google")
	default:
		return true
	}
	return false
}

func (s *Server) refused(r *http.Request, why string) {
	s.refusals.log(s.opts.Logger, slog.LevelDebug, "request refused", "why", why, "remote", r.RemoteAddr, "host", r.Host, "path", r.URL.Path)
}
