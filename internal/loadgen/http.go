package loadgen

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httputil"
	"strconv"
	"time"
)

// readBuffer is the size of a connection's read buffer, in bytes.
const readBuffer = 1 << 10

// httpConn is an HTTP/1.1 connection for consecutive requests. Requests are encoded in
// advance; answers are read without an allocation.
type httpConn struct {
	net.Conn
	address   string
	r         *bufio.Reader
	stop      func() bool // cancels the closing at the end of ctx
	request   []byte      // buffer in which callers encode a request
	body      []byte      // body of the last answer
	challenge string      // description of the error in the last answer's challenge
	last      bool        // the server closes the connection after this answer
}

// dialHTTP opens a connection that is closed when ctx ends.
func (t *target) dialHTTP(ctx context.Context) (*httpConn, error) {
	c, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	h := &httpConn{Conn: c, address: t.address, r: bufio.NewReaderSize(c, readBuffer)}
	h.stop = context.AfterFunc(ctx, func() { _ = c.Close() })
	return h, nil
}

// Close closes the connection.
func (c *httpConn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// request encodes a request of the hub. Without a body (nil) it has no Content-Length.
func (t *target) request(method, path, more string, body []byte) []byte {
	text := method + " " + path + " HTTP/1.1\r\n" + t.head + more
	if body != nil || method == "POST" {
		text += "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	return append([]byte(text+"\r\n"), body...)
}

// exchange sends a request and reads the answer, which is valid until the next one.
func (c *httpConn) exchange(request []byte) (status int, body []byte, err error) {
	if _, err := c.Write(request); err != nil {
		return 0, nil, err
	}
	h, err := c.readHead()
	if err != nil {
		return 0, nil, err
	}
	c.last, c.challenge = h.close, h.challenge
	body, err = c.readBody(h)
	return h.status, body, err
}

// exchangeWithin is exchange with a time limit.
func (c *httpConn) exchangeWithin(limit time.Duration, request []byte) (status int, body []byte, err error) {
	_ = c.SetDeadline(time.Now().Add(limit))
	defer func() { _ = c.SetDeadline(time.Time{}) }()
	return c.exchange(request)
}

// head holds the parts of an answer's head that are needed.
type head struct {
	status      int
	length      int // -1: none given
	chunked     bool
	close       bool
	eventStream bool
	challenge   string
}

var (
	contentLength    = []byte("content-length:")
	transferEncoding = []byte("transfer-encoding:")
	connection       = []byte("connection:")
	contentType      = []byte("content-type:")
	authenticate     = []byte("www-authenticate:")
)

func (c *httpConn) readHead() (head, error) {
	h := head{length: -1}
	line, err := c.readLine()
	if err != nil {
		return h, err
	}
	if len(line) < len("HTTP/1.1 200") || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return h, errors.New("the answer is not HTTP/1")
	}
	h.close = line[7] == '0'
	for _, digit := range line[9:12] {
		h.status = h.status*10 + int(digit-'0')
	}
	for {
		if line, err = c.readLine(); err != nil || len(line) == 0 {
			return h, err
		}
		h.field(line)
	}
}

// readLine reads a line. A line that exceeds the buffer is cut: no header that is
// needed is so long.
func (c *httpConn) readLine() ([]byte, error) {
	line, err := c.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = c.r.ReadSlice('\n')
		}
	}
	return bytes.TrimRight(line, "\r\n"), err
}

func (h *head) field(line []byte) {
	value := func(name []byte) ([]byte, bool) {
		if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], name) {
			return nil, false
		}
		return bytes.TrimSpace(line[len(name):]), true
	}
	if v, ok := value(contentLength); ok {
		h.length = 0
		for _, digit := range v {
			h.length = h.length*10 + int(digit-'0')
		}
	} else if v, ok := value(transferEncoding); ok {
		h.chunked = bytes.EqualFold(v, []byte("chunked"))
	} else if v, ok := value(connection); ok {
		h.close = bytes.EqualFold(v, []byte("close"))
	} else if v, ok := value(contentType); ok {
		h.eventStream = bytes.HasPrefix(v, []byte("text/event-stream"))
	} else if v, ok := value(authenticate); ok {
		_, rest, _ := bytes.Cut(v, []byte(`error_description="`))
		reason, _, _ := bytes.Cut(rest, []byte(`"`))
		h.challenge = cmp.Or(string(reason), "the server requires a token")
	}
}

// longestBody bounds a body, in bytes. Servers send less at once.
const longestBody = 64 << 20

func (c *httpConn) readBody(h head) ([]byte, error) {
	c.body = c.body[:0]
	switch {
	case h.status == 204 || h.status == 304:
		return c.body, nil
	case h.chunked || h.length < 0:
		var err error
		c.body, err = io.ReadAll(io.LimitReader(c.bodyReader(h), longestBody))
		if h.chunked && err == nil {
			_, err = c.readLine() // the empty line after the last chunk
		}
		return c.body, err
	case h.length > longestBody:
		return nil, fmt.Errorf("an answer of %d bytes", h.length)
	}
	if cap(c.body) < h.length {
		c.body = make([]byte, h.length)
	}
	c.body = c.body[:h.length]
	_, err := io.ReadFull(c.r, c.body)
	return c.body, err
}

// bodyReader reads a body of unknown length.
func (c *httpConn) bodyReader(h head) io.Reader {
	if h.chunked {
		return httputil.NewChunkedReader(c.r)
	}
	return c.r
}
