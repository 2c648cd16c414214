package golden

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// errQuiet says that nothing came for as long as was waited.
var errQuiet = errors.New("nothing came")

// A socket is a TCP connection and what came over it and was not looked at yet. It is used by one goroutine.
type socket struct {
	tcp *net.TCPConn
	in  []byte
	end error // how it ended, once that was seen
}

func dial(addr string) (*socket, error) {
	conn, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return nil, err
	}
	return &socket{tcp: conn.(*net.TCPConn)}, nil
}

func (s *socket) write(p []byte) error {
	if err := s.tcp.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, err := s.tcp.Write(p)
	return err
}

// fill waits for more and appends it to what is there: errQuiet when the deadline passes first.
func (s *socket) fill(deadline time.Time) error {
	if s.end != nil {
		return s.end
	}
	if err := s.tcp.SetReadDeadline(deadline); err != nil {
		return err
	}
	buf := make([]byte, 16<<10)
	n, err := s.tcp.Read(buf)
	s.in = append(s.in, buf[:n]...)
	switch {
	case n > 0:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errQuiet
	default:
		s.end = err
		return err
	}
}

// ending names the way in which the peer ended the connection: eof or reset.
func ending(err error) string {
	switch {
	case errors.Is(err, io.EOF):
		return "eof"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	}
	return err.Error()
}

// drop closes the connection, whatever has become of it.
func (s *socket) drop() { _ = s.tcp.Close() }

// reset ends the connection by a TCP reset.
func (s *socket) reset() error {
	if err := s.tcp.SetLinger(0); err != nil {
		return err
	}
	return s.tcp.Close()
}
