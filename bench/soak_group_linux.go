package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// memoryGroup is a memory cgroup for the process under test, if this process may make one. Nil has no effect.
type memoryGroup struct {
	dir    string // empty: there is none
	two    bool   // version 2 of cgroups
	limit  int64
	absent error
}

// newMemoryGroup makes a group below the one that this process is in.
func newMemoryGroup(limit int64) *memoryGroup {
	g := &memoryGroup{limit: limit}
	parent, two, err := ownMemoryGroup()
	if err != nil {
		g.absent = err
		return g
	}
	g.two = two
	dir := filepath.Join(parent, fmt.Sprintf("tidemark-soak-%d", os.Getpid()))
	if err := os.Mkdir(dir, 0o755); err != nil {
		g.absent = err
		return g
	}
	g.dir = dir
	if err := os.WriteFile(g.file("limit_in_bytes", "max"), []byte(strconv.FormatInt(limit, 10)), 0o644); err != nil {
		g.absent = errors.Join(err, g.remove())
		g.dir = ""
	}
	return g
}

// ownMemoryGroup is the directory of the group that this process is in.
func ownMemoryGroup() (dir string, two bool, err error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", false, err
	}
	unified := ""
	for l := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(l), ":", 3)
		if len(fields) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			if controller == "memory" {
				return present("/sys/fs/cgroup/memory", fields[2]), false, nil
			}
		}
		if fields[0] == "0" {
			unified = fields[2]
		}
	}
	if unified == "" {
		return "", false, errors.New("this process is in no memory cgroup")
	}
	return present("/sys/fs/cgroup", unified), true, nil
}

// present is the group's directory as this process sees it: in a container the path may be that of the host.
func present(root, path string) string {
	if dir := filepath.Join(root, path); isDir(dir) {
		return dir
	}
	return root
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// file is a file of the group, by its name in version 1 or 2.
func (g *memoryGroup) file(one, two string) string {
	if g.two {
		return filepath.Join(g.dir, "memory."+two)
	}
	return filepath.Join(g.dir, "memory."+one)
}

// command is how a program is started within the group: by a shell that joins it first. Charged to the group is what the process allocates, what the system holds for
// it and the cache of the files that it writes; pages of the program are charged to whoever had them read first, which was not this process.
func (g *memoryGroup) command(program string) []string {
	if g == nil || g.dir == "" {
		return []string{program}
	}
	return []string{"/bin/sh", "-c", `echo $$ > "$1" && exec "$2"`, "sh", filepath.Join(g.dir, "cgroup.procs"), program}
}

func (g *memoryGroup) number(one, two string) int64 {
	if g.dir == "" {
		return 0
	}
	n, err := strconv.ParseInt(line(g.file(one, two)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// usage is what the group holds, the cache of files included; peak is the most that it did.
func (g *memoryGroup) usage() int64 { return g.number("usage_in_bytes", "current") }
func (g *memoryGroup) peak() int64  { return g.number("max_usage_in_bytes", "peak") }

// String says what the group is, or why there is none.
func (g *memoryGroup) String() string {
	if g.dir == "" {
		return "none: " + g.absent.Error()
	}
	version := 1
	if g.two {
		version = 2
	}
	return fmt.Sprintf("version %d, limit %s", version, mebibytes(g.limit))
}

// remove removes the group; its processes have to be gone.
func (g *memoryGroup) remove() error {
	if g.dir == "" {
		return nil
	}
	return os.Remove(g.dir)
}
