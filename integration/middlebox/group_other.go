//go:build !unix

package middlebox

import "os/exec"

// Without process groups only the program itself is ended.
func startGroup(*exec.Cmd) {}

func terminateGroup(command *exec.Cmd) { killGroup(command) }

func killGroup(command *exec.Cmd) { _ = command.Process.Kill() }
