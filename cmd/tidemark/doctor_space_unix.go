//go:build linux || darwin

package main

import "golang.org/x/sys/unix"

// space is how many bytes this user may still write to the file system of dir, and its size.
func space(dir string) (free, size int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	block := int64(st.Bsize) //nolint:unconvert // 32 bits wide on other systems
	return int64(st.Bavail) * block, int64(st.Blocks) * block, nil
}
