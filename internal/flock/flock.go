// Package flock excludes processes, and open files of one process, from each other by flock(2).
package flock

import "os"

// Try takes the exclusive lock on a file or directory if no other open file has it. The lock ends with f, and with the process. An error
// says that nothing can be locked there: the system has no flock (errors.ErrUnsupported), or the file system does not.
func Try(f *os.File) (bool, error) { return try(f) }
