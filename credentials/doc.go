// Package credentials gets access tokens once and keeps them: a cache that hands out a valid token in the
// time of one memory load, refreshes it in the background, and survives a token server that stalls,
// throttles, repeats itself or is not there yet.
//
// # What to use first
//
// [Find] says which credentials this process has, [Shared] gives the cache that the whole process uses
// for them, and [Transport] authorises HTTP requests from it:
//
//	found, err := credentials.Find(ctx, nil)
//	if err != nil { ... }
//	tokens := credentials.Shared(found.Source, nil)
//	defer tokens.Close()
//	client := &http.Client{Transport: credentials.Transport(tokens, nil)}
//
// A [Cache] or a [Handle] is an oauth2.TokenSource too, so it can be given to any library that takes one.
// [New] makes a cache that is shared with nobody.
//
// Sources are made by [Metadata], [Key], [File], [Command] and [Static], and go over one another by
// [Impersonate], [Downscope] and [IDToken].
//
// # What is promised
//
//   - [Cache.Get] of a valid token is one atomic load: no lock, no clock, no allocation.
//   - No caller waits while the token in hand is valid; it is replaced ahead of time, in the background.
//   - One fetch at a time per identity, whoever asks; each caller leaves when its own context ends. Another starts
//     beside one that hangs: past expiry, after twice the time that the server usually takes and 1.2 s at least;
//     while a token is served, where an attempt has failed already or the token is about to end. Of two answers the
//     token that lives longer is kept.
//   - An outage of the token server that ends within a minute, while the token is valid, is noticed to be over
//     within 5 s and costs at most 12 requests, whether the server failed or hung. One that outlasts the token is
//     noticed within 1.5 s, as long as somebody waits.
//   - A token is served until 1.5 s before its expiry on the monotonic or the wall clock, whichever is
//     earlier, and never after.
//   - A server that repeats its token is asked at most six times in the life of that token.
//   - An [*Error] says whether to retry ([ErrUnavailable]), to fix a permission ([ErrRefused]) or to fix
//     the set-up ([ErrMisconfigured]).
//   - Nothing here prints, logs or marshals a token.
package credentials
