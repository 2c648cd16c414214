package golden

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-go/carillon/internal/fold"
)

// A request holds a request as it is sent. Nothing is added except by encode.
type request struct {
	method, path, proto string
	headers             []string // "Name: value"
	body                []byte
	lengthless          bool // send an empty body without Content-Length
}

// encode returns the request's bytes. It adds Host, and the length of a body unless the
// headers state it.
func (r request) encode(host string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s %s\r\nHost: %s\r\n", r.method, r.path, r.proto, host)
	for _, h := range r.headers {
		b.WriteString(h + "\r\n")
	}
	if header(r.headers, "Transfer-Encoding") == "chunked" {
		fmt.Fprintf(&b, "\r\n%x\r\n%s\r\n0\r\n\r\n", len(r.body), r.body)
		return b.Bytes()
	}
	if r.lengthIsDue() {
		fmt.Fprintf(&b, "Content-Length: %d\r\n", len(r.body))
	}
	b.WriteString("\r\n")
	b.Write(r.body)
	return b.Bytes()
}

func (r request) lengthIsDue() bool {
	if r.lengthless || slices.ContainsFunc(r.headers, func(h string) bool { return strings.HasPrefix(h, "Content-Length:") }) {
		return false
	}
	return len(r.body) > 0 || r.method == "POST" || r.method == "PUT" || r.method == "PATCH"
}

// header returns the value of the first header with a name, ignoring case.
func header(headers []string, name string) string {
	for _, h := range headers {
		if n, v, ok := strings.Cut(h, ": "); ok && fold.Equal(n, name) {
			return v
		}
	}
	return ""
}

// An exchange is a request that was sent, and the received part of its answer.
type exchange struct {
	*socket
	request request

	status  string // code and reason
	headers []string
	body    []byte // received and not taken yet
	records string // received hub messages of an event stream, without its framing, not taken yet
	done    bool   // the body is complete
	chunks  chunkReader
	left    int // of the Content-Length
}

// send opens a connection and sends the request.
func send(addr string, r request) (*exchange, error) {
	s, err := dial(addr)
	if err != nil {
		return nil, err
	}
	if err := s.write(r.encode(addr)); err != nil {
		s.drop()
		return nil, err
	}
	return &exchange{socket: s, request: r}, nil
}

// readHead waits for the status line and the headers.
func (x *exchange) readHead(deadline time.Time) error {
	if x.status != "" {
		return nil
	}
	var end int
	for end = bytes.Index(x.in, []byte("\r\n\r\n")); end < 0; end = bytes.Index(x.in, []byte("\r\n\r\n")) {
		if err := x.fill(deadline); err != nil {
			return fmt.Errorf("no answer to %s %s: %w", x.request.method, x.request.path, err)
		}
	}
	lines := strings.Split(string(x.in[:end]), "\r\n")
	x.in = x.in[end+4:]
	proto, status, ok := strings.Cut(lines[0], " ")
	if !ok || !strings.HasPrefix(proto, "HTTP/1.") {
		return fmt.Errorf("no status line: %q", lines[0])
	}
	x.status, x.headers = status, lines[1:]
	return x.frameBody()
}

// frameBody determines how the end of the body is marked.
func (x *exchange) frameBody() error {
	length := header(x.headers, "Content-Length")
	switch {
	case x.request.method == "HEAD" || strings.HasPrefix(x.status, "204") || strings.HasPrefix(x.status, "101"):
		x.done = true
	case x.chunked():
	case length == "":
		return fmt.Errorf("%s: the answer does not state the length of its body", x.status)
	default:
		n, err := strconv.Atoi(length)
		if err != nil {
			return err
		}
		x.left, x.done = n, n == 0
	}
	return nil
}

func (x *exchange) chunked() bool { return header(x.headers, "Transfer-Encoding") == "chunked" }

// more takes received bytes of the body. It waits for some if there are none.
func (x *exchange) more(deadline time.Time) error {
	before := len(x.body)
	for {
		if err := x.take(); err != nil {
			return err
		}
		if x.done || len(x.body) > before {
			return nil
		}
		if err := x.fill(deadline); err != nil {
			return err
		}
	}
}

func (x *exchange) take() error {
	if x.done {
		return nil
	}
	if !x.chunked() {
		n := min(x.left, len(x.in))
		x.body, x.in = append(x.body, x.in[:n]...), x.in[n:]
		x.left -= n
		x.done = x.left == 0
		return nil
	}
	data, rest, err := x.chunks.decode(x.in)
	x.body, x.in, x.done = append(x.body, data...), rest, x.chunks.ended
	return err
}

// readBody waits for the whole body.
func (x *exchange) readBody(deadline time.Time) error {
	for !x.done {
		if err := x.more(deadline); err != nil {
			return fmt.Errorf("%s: the body breaks off after %q: %w", x.status, x.body, err)
		}
	}
	return nil
}

func (x *exchange) readAnswer(deadline time.Time) error {
	if err := x.readHead(deadline); err != nil {
		return err
	}
	return x.readBody(deadline)
}

// eventStream reports whether the answer is an event stream, whose body does not end by
// itself.
func (x *exchange) eventStream() bool {
	return header(x.headers, "Content-Type") == "text/event-stream"
}

// fetch sends a request and returns the body of its answer, which must have status 200.
func fetch(addr string, r request) (string, error) {
	x, err := send(addr, r)
	if err != nil {
		return "", err
	}
	defer x.drop()
	if err := x.readAnswer(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if x.status != "200 OK" {
		return "", fmt.Errorf("%s %s: %s: %s", r.method, r.path, x.status, x.body)
	}
	return string(x.body), nil
}

// A chunkReader decodes the chunked transfer coding.
type chunkReader struct {
	left  int  // of this chunk, including its CRLF
	ended bool // the last chunk was seen
}

func (c *chunkReader) decode(in []byte) (data, rest []byte, err error) {
	for {
		if c.left == 0 {
			line, behind, ok := bytes.Cut(in, []byte("\r\n"))
			if !ok {
				return data, in, nil
			}
			size, err := strconv.ParseUint(string(line), 16, 31)
			if err != nil {
				return data, in, fmt.Errorf("the size of a chunk: %w", err)
			}
			if size == 0 && len(behind) < 2 {
				return data, in, nil
			}
			c.left, c.ended, in = int(size)+2, size == 0, behind
		}
		n := min(c.left, len(in))
		if n == 0 {
			return data, in, nil
		}
		data = append(data, in[:min(n, max(0, c.left-2))]...)
		c.left -= n
		in = in[n:]
		if c.ended {
			return data, in, nil
		}
	}
}
