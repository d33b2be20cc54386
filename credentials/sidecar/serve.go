package sidecar

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	// headerTimeout bounds how long a request may take to arrive: it is a few hundred bytes, from this machine.
	headerTimeout = 5 * time.Second

	// writeTimeout bounds a request from its arrival until the client has read the answer. The wait for a token, up to
	// Options.Patience, is added to it.
	writeTimeout = 20 * time.Second

	// idleTimeout is how long a connection is kept for a client's next request.
	idleTimeout = time.Minute

	// maxRequestHeader is more than any client sends, and what a connection may cost.
	maxRequestHeader = 8 << 10

	// grace is how long requests may go on when the server ends.
	grace = 3 * time.Second
)

// Serve answers on a listener until ctx ends, which is the ordinary end and no error. Requests that are being answered then
// have 3 s left; those with wait_for_change end at once. The listener is closed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	return s.run(ctx, l, s)
}

// ServeStatus is Serve for the pages of [Server.Status] alone.
func (s *Server) ServeStatus(ctx context.Context, l net.Listener) error {
	return s.run(ctx, l, s.Status())
}

func (s *Server) run(ctx context.Context, l net.Listener, h http.Handler) error {
	bounded := newBoundedListener(l, s.opts.MaxConnections, &s.count)
	srv := &http.Server{
		Handler:           bounded.spare(h),
		ReadHeaderTimeout: headerTimeout,
		WriteTimeout:      writeTimeout + s.opts.Patience,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxRequestHeader,
		ErrorLog:          slog.NewLogLogger(s.opts.Logger.Handler(), slog.LevelDebug),
	}
	srv.RegisterOnShutdown(s.end)
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(bounded) }()
	var err error
	select {
	case err = <-failed:
		_ = srv.Close() // the listener is gone; what went wrong with it is in err
	case <-ctx.Done():
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		if err = srv.Shutdown(late); errors.Is(err, context.DeadlineExceeded) {
			err = srv.Close()
		}
		if ended := <-failed; !errors.Is(ended, http.ErrServerClosed) {
			err = errors.Join(err, ended)
		}
	}
	bounded.wait()
	if err != nil {
		return fmt.Errorf("sidecar: serve on %v: %w", l.Addr(), err)
	}
	return nil
}
