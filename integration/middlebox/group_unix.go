//go:build unix

package middlebox

import (
	"os/exec"
	"syscall"
)

// startGroup makes the command the leader of a process group, which includes its workers. Call
// it before the command starts.
func startGroup(command *exec.Cmd) {
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// terminateGroup asks all processes of the group to end.
func terminateGroup(command *exec.Cmd) {
	_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
}

// killGroup ends all processes of the group.
func killGroup(command *exec.Cmd) {
	_ = syscall.Kill(-command.Process.Pid, syscall.SIGKILL)
}
