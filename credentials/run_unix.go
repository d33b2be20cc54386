//go:build unix

package credentials

import (
	"os/exec"
	"syscall"
)

// killAll gives the command a process group of its own, all of which dies with it.
func killAll(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
