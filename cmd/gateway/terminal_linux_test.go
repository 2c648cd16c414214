package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/carillon-go/carillon/internal/testproc"
)

// openTerminal returns both ends of a new terminal.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	if err := unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skip(err)
	}
	number, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skip(err)
	}
	program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip(err)
	}
	return person, program
}

// At a terminal the program prints its URLs. When the terminal closes it drains and ends in order.
func TestTerminal(t *testing.T) {
	binary, err := testproc.Build(".")
	if err != nil {
		t.Fatal(err)
	}
	person, program := openTerminal(t)
	addr := testproc.FreeAddress()
	cmd := exec.CommandContext(t.Context(), binary, "--addr", addr, "--interval", "0")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = program.Close()
	_ = person.SetReadDeadline(time.Now().Add(time.Minute))
	var shown []byte
	for !bytes.Contains(shown, []byte("Ctrl+C")) {
		part := make([]byte, 1024)
		n, err := person.Read(part)
		if err != nil {
			t.Fatalf("%v\n%s", err, shown)
		}
		shown = append(shown, part[:n]...)
	}
	for _, url := range []string{"http://" + addr + "/\r\n", "http://" + addr + "/hubs/clock\r\n", "http://" + addr + "/hubs/clock/diagnose\r\n"} {
		if !strings.Contains(string(shown), url) {
			t.Errorf("%q is missing in\n%s", url, shown)
		}
	}
	conn := (&gatewayProcess{&testproc.Process{Addr: addr}, t}).dial()
	_ = person.Close()
	(&gatewayProcess{nil, t}).hearEnd(conn)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after the terminal was closed: %v", err)
	}
}

// Without a terminal there are only lines of the log.
func TestNoBannerWithoutTerminal(t *testing.T) {
	p := startProcess(t)
	p.terminate()
	if err := p.Wait(); err != nil || strings.Contains(p.Output.String(), "Ctrl+C") {
		t.Errorf("%v\n%s", err, &p.Output)
	}
}
