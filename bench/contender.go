package bench

import (
	"context"
	"net/http"
	"time"
)

// Contender is one way to get tokens, set up as its users set it up.
type Contender struct {
	Name  string // short; what --contenders takes
	About string // one line: what it is, with the settings that matter

	// Bound is for what is no cache but the least that any cache can cost. It runs in the hot cases only.
	Bound bool

	// Window is how long before a token's expiry the contender first asks for another. 0 says that this is a share of
	// the life. It decides only how short a life a case can give its tokens, never what counts as good.
	Window time.Duration

	// Open makes a client as one job would for itself. Cases with many clients call it once for each.
	Open func(Endpoint) (Client, error)
}

// Endpoint is a metadata server.
type Endpoint struct {
	Host string // host:port; also what GCE_METADATA_HOST says for contenders that look there

	// Scope has to be asked for: it tells one contender's server from another's where all have one address, because
	// some libraries know no other way to an address than the environment of the process.
	Scope string
}

// Client gets tokens for one job.
type Client interface {
	// Token returns a valid token. A library that knows no contexts ignores ctx.
	Token(ctx context.Context) (string, error)

	// Loop gets n tokens. Each client has its own, since a call through an interface costs as much as a good cache.
	Loop(n int) error

	// Close releases what the client holds, and waits for it.
	Close() error
}

// Authorizer is a [Client] whose library authorises a request that the caller owns.
type Authorizer interface {
	// LoopAuthorize authorises req n times.
	LoopAuthorize(req *http.Request, n int) error
}

// Transporter is a [Client] whose library authorises requests on their way.
type Transporter interface {
	Transport(base http.RoundTripper) http.RoundTripper
}

// Contenders are those that need no other module.
func Contenders() []Contender {
	return []Contender{tidemarkCache(), oauth2Compute(), oauth2Reuse(), mutex(), atomicLoad(), clock()}
}
