package credentials

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// probeTime bounds the question whether this is Google Cloud at all. A metadata server answers it in
// milliseconds; where there is none, the packet usually vanishes.
const probeTime = 1500 * time.Millisecond

// metadataServer decides whether there is a metadata server. One that is named, or that the machine is
// sure to have, is not probed: in a pod that has just started it may not answer yet, and the cache waits
// for it where this function would misjudge it. Elsewhere one quick probe decides; inside Kubernetes, a
// refused connection or a 5xx counts as a server that is starting.
func metadataServer(ctx context.Context, o *FindOptions) (Source, string, error) {
	named := o.env("GCE_METADATA_HOST")
	src := Metadata(&MetadataOptions{Host: named, Account: o.Account, Scopes: o.Scopes, Client: o.Client}).(*metadata)
	if named != "" || o.onGoogleCloud() {
		return src, "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	google, r, err := src.probe(ctx)
	if google {
		return src, "", nil
	}
	starting := errors.Is(err, syscall.ECONNREFUSED) || r != nil && r.status >= 500
	if starting && o.env("KUBERNETES_SERVICE_HOST") != "" {
		return src, "", nil
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer from %s within %v", src.Host, probeTime)
	}
	return nil, fmt.Sprintf("GCE_METADATA_HOST is not set, and this is not Google Cloud: %v", err), nil
}

// onGoogleCloud looks at the board of the machine, which a GKE pod sees too, and needs no request for it.
func (o *FindOptions) onGoogleCloud() bool {
	board, err := os.ReadFile(o.board)
	return err == nil && strings.HasPrefix(strings.TrimSpace(string(board)), "Google")
}
