//go:build !linux

package bench

import "errors"

// memoryGroup stands for what only Linux has.
type memoryGroup struct{}

func newMemoryGroup(int64) *memoryGroup { return &memoryGroup{} }

func (*memoryGroup) usage() int64   { return 0 }
func (*memoryGroup) peak() int64    { return 0 }
func (*memoryGroup) remove() error  { return nil }
func (*memoryGroup) String() string { return "none: " + errors.ErrUnsupported.Error() }

func (*memoryGroup) command(program string) []string { return []string{program} }
