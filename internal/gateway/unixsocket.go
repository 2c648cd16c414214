package gateway

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// unixPrefix begins an address that is the path of a Unix socket.
const unixPrefix = "unix:"

// unixMode allows the program's user and group to connect to a Unix socket.
const unixMode = 0o660

// unixPath returns the path of the Unix socket that addr names, if it names one.
func unixPath(addr string) (path string, ok bool) { return strings.CutPrefix(addr, unixPrefix) }

// validateAddr refuses sockets that are not files: every program could connect to them.
func validateAddr(setting, addr string) error {
	if path, ok := unixPath(addr); ok && (path == "" || path[0] == '@') {
		return fmt.Errorf("%s: %q names no file; write it as unix:/run/carillon.sock", setting, addr)
	}
	return nil
}

// listenUnix listens on a Unix socket. It replaces the file of a process that has not removed it.
// Closing the listener removes the file.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, unixMode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// removeStale removes a Unix socket on which no process listens. It leaves every other file, which
// then fails the attempt to listen.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if isSocket := err == nil && info.Mode()&os.ModeSocket != 0; !isSocket {
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return conn.Close()
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return nil
}

// addressOf returns the address of a listener in the form of --addr.
func addressOf(a net.Addr) string {
	if isUnix(a) {
		return unixPrefix + a.String()
	}
	return a.String()
}

func isUnix(a net.Addr) bool { return a.Network() == "unix" }
