// Package sidecar serves the metadata protocol of Google Cloud from the token caches of package credentials, so that
// programs in any language that are pointed at it by GCE_METADATA_HOST never wait for a token server that stalls,
// throttles or repeats itself.
//
// # What to use first
//
// [New] makes a [Server], [Listen] an address that is safe to serve it on, and [Server.Serve] runs it until the
// context ends:
//
//	s, err := sidecar.New(nil) // in front of the metadata server of this machine
//	if err != nil { ... }
//	defer s.Close()
//	l, err := sidecar.Listen(ctx, "127.0.0.1:8174", nil)
//	if err != nil { ... }
//	err = s.Serve(ctx, l)
//
// A Server is an http.Handler too; what Serve adds are time-outs, a bound on connections and a graceful end.
//
// # What is promised
//
//   - A request for a token that is valid is answered from memory, never queues and is never shed by the handler. Its
//     expires_in is what is really left of the token, which is never less than 2 s.
//   - There is one cache per account, scopes and audience, at most [Options.MaxIdentities] of them, and one fetch at a
//     time for each.
//   - Values that cannot change are asked once. What hardly changes is asked once a minute, and the last answer is
//     served while the upstream is away. Everything else is passed through as it is.
//   - Whatever the upstream does — it is down, hangs, lies, floods — valid tokens are served meanwhile, and nothing but a
//     token is ever served as one.
//   - Requests without Metadata-Flavor: Google, with X-Forwarded-For, or for the name of another host are refused.
//   - Waiting requests, subscriptions, connections and memory are bounded; what is too much is answered 429 at once.
//   - No token is logged, counted or shown on any status page.
package sidecar
