// Package s3servers holds the store for s3:// against servers that others wrote: versitygw, which checks signatures and keeps conditions on a
// directory of files, and gofakes3 in memory, whole and with one promise taken away at a time. It is a module of its own, so that their
// dependencies do not become the library's. Its tests are all there is; docs/stores.md has what they found.
package s3servers
