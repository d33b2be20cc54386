// Package bench measures how programs get their tokens: how long a call takes, what the metadata server is asked, and
// who is held up or left without a token when that server is slow, repeats itself, throttles or is away. And it measures what saving and restoring a
// directory costs in time, memory, bytes and requests.
//
// # What to use first
//
// [Run] measures [Contenders] in [Cases] and returns a [Report], which prints itself as a table, as JSON and as a page
// with plots. [RunSave] does the same for [Savers] of directories; its program calls [Child] first. `tidemark bench` is a thin layer over it, and bench/peers, a module of its own, is the same with
// the libraries of other vendors beside it.
//
// # What is promised
//
// Every contender talks HTTP over loopback to a metadata server of its own ([emulator.Metadata], with the same habits
// and faults for each) through the HTTP client that its library uses by itself. Contenders take turns within a case,
// in another order each round, so that what the machine does meanwhile falls on all of them. Times are real: no clock
// is faked. What takes minutes in life is shortened by default, and takes its minutes with [Options.RealTime].
package bench
