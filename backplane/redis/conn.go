package redis

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync/atomic"
	"time"
)

// conn is a connection to a server. It speaks RESP2, with which every server begins. It also understands
// the messages about publications of RESP3.
type conn struct {
	net.Conn
	in    *bufio.Reader
	heard atomic.Int64 // when something last came, in nanoseconds
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.heard.Store(time.Now().UnixNano())
	return n, err
}

// silence returns the time since something last came.
func (c *conn) silence() time.Duration { return time.Since(time.Unix(0, c.heard.Load())) }

// dial connects to a server, and logs in.
func (s *settings) dial(ctx context.Context, address string) (*conn, error) {
	c, err := s.reach(ctx, address)
	if err != nil {
		return nil, err
	}
	if err := c.logIn(ctx, s); err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// reach connects to a server within dialTimeout.
func (s *settings) reach(ctx context.Context, address string) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dial := new(net.Dialer).DialContext
	if s.tls != nil {
		dial = (&tls.Dialer{Config: s.tls}).DialContext
	}
	raw, err := dial(ctx, s.network, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw}
	c.in = bufio.NewReaderSize(c, bufferBytes)
	c.heard.Store(time.Now().UnixNano())
	return c, nil
}

// logIn logs in, if there is a password.
func (c *conn) logIn(ctx context.Context, s *settings) (err error) {
	switch {
	case s.user != "":
		_, err = c.do(ctx, "AUTH", s.user, s.password)
	case s.password != "":
		_, err = c.do(ctx, "AUTH", s.password)
	}
	return err
}

// do does a command on a connection that does nothing else. Without an answer within dialTimeout, or
// if ctx ends, the connection ends.
func (c *conn) do(ctx context.Context, command ...string) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	_, err := c.Write(appendCommand(nil, command...))
	var r reply
	if err == nil {
		r, err = readReply(c.in, maxDepth)
	}
	if !stop() {
		return r, fmt.Errorf("redis: %s does not answer: %w", c.RemoteAddr(), context.Cause(ctx))
	}
	if err == nil {
		err = r.refusal()
	}
	return r, err
}

// appendCommand appends a command.
func appendCommand(dst []byte, words ...string) []byte {
	dst = appendHead(dst, '*', len(words))
	for _, word := range words {
		dst = appendBulk(dst, word)
	}
	return dst
}

func appendBulk[Text string | []byte](dst []byte, text Text) []byte {
	return append(append(appendHead(dst, '$', len(text)), text...), "\r\n"...)
}

func appendHead(dst []byte, kind byte, n int) []byte {
	return append(strconv.AppendInt(append(dst, kind), int64(n), 10), "\r\n"...)
}

// reply is an answer of a server, or a message that it sends without a question.
type reply struct {
	kind   byte   // '+', '-', ':', '$' or '*', also for the pushes and the null value of RESP3
	text   []byte // of '+', '-' and '$'; nil: the null value
	number int64  // of ':'
	items  []reply
}

// refusal is the text of an answer with which a server refuses a command.
type refusal string

// noRight is the beginning of a refusal to a user without the right.
const noRight = "redis: NOPERM"

// Error implements error.
func (r refusal) Error() string { return "redis: " + string(r) }

// refusal returns the refusal if the reply is one.
func (r *reply) refusal() error {
	if r.kind == '-' {
		return refusal(r.text)
	}
	return nil
}

// errProtocol is the error of a connection on which something comes that Redis does not send, or
// that no command has asked for.
var errProtocol = errors.New("redis: the server does not follow the protocol")

// The limits of a reply. Those of Redis are 512 MiB for a string, and 64 KiB for a line.
const (
	maxBulk    = 512 << 20
	maxItems   = 1 << 20
	maxDepth   = 4
	firstBytes = 1 << 20 // of a string, before more of it comes
)

// readReply reads a reply in which arrays are nested at most depth times.
func readReply(in *bufio.Reader, depth int) (r reply, err error) {
	line, err := readLine(in)
	if err != nil {
		return r, err
	}
	r.kind, line = line[0], line[1:]
	switch r.kind {
	case '+', '-':
		r.text = append([]byte{}, line...)
		return r, nil
	case '_':
		r.kind = '*'
		return r, nil
	case '>':
		r.kind = '*'
		fallthrough
	case ':', '$', '*':
		r.number, err = strconv.ParseInt(string(line), 10, 64)
	default:
		err = errProtocol
	}
	switch {
	case err != nil:
		return r, errProtocol
	case r.kind == ':' || r.number == -1:
		return r, nil
	case r.kind == '$':
		r.text, err = readBulk(in, r.number)
		return r, err
	case depth == 0 || r.number < 0 || r.number > maxItems:
		return r, errProtocol
	}
	r.items = make([]reply, 0, min(r.number, 8)) // more when they come
	for range r.number {
		item, err := readReply(in, depth-1)
		if err != nil {
			return r, err
		}
		r.items = append(r.items, item)
	}
	return r, nil
}

// readLine reads a line of at least one byte, without its end. It is valid until the next read.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errProtocol
	case err != nil:
		return nil, err
	}
	line, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || len(line) == 0 {
		return nil, errProtocol
	}
	return line, nil
}

// readBulk reads a string of n bytes.
func readBulk(in *bufio.Reader, n int64) ([]byte, error) {
	if n < 0 || n > maxBulk {
		return nil, errProtocol
	}
	var text []byte
	for rest := n + 2; rest > 0; { // a wrong length must not take more memory than the bytes that come
		more := min(rest, max(firstBytes, int64(len(text))))
		text = append(text, make([]byte, more)...)
		if _, err := io.ReadFull(in, text[len(text)-int(more):]); err != nil {
			return nil, err
		}
		rest -= more
	}
	if string(text[n:]) != "\r\n" {
		return nil, errProtocol
	}
	return text[:n:n], nil
}
