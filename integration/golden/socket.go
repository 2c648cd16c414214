package golden

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"
)

// errQuiet means that no data arrived before the deadline.
var errQuiet = errors.New("nothing came")

// A socket is a TCP connection with its received and unread bytes. It is not safe for
// concurrent use.
type socket struct {
	tcp *net.TCPConn
	in  []byte
	end error // the error that ended it; nil while it is open
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

// fill waits for data and appends it to in. It returns errQuiet at the deadline.
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

// ending returns the way in which the peer ended the connection: eof or reset.
func ending(err error) string {
	switch {
	case errors.Is(err, io.EOF):
		return "eof"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	}
	return err.Error()
}

// drop closes the connection and ignores errors.
func (s *socket) drop() { _ = s.tcp.Close() }

// reset ends the connection by a TCP reset.
func (s *socket) reset() error {
	if err := s.tcp.SetLinger(0); err != nil {
		return err
	}
	return s.tcp.Close()
}
