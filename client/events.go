package client

import (
	"bufio"
	"bytes"
	"io"
)

// eventReader reads an event stream. It examines each byte once, however small the received pieces
// are.
type eventReader struct {
	r             *bufio.Reader
	limit         int    // the longest line and the longest data of an event, in bytes
	line          []byte // the beginning of a line
	data          []byte
	hasData       bool // the event has a data line
	pastFirstLine bool // a line was read, so no byte order mark can follow
	cr            bool // the last line ended in a carriage return, and a line feed may belong to it
}

func newEventReader(r io.Reader, limit int) *eventReader {
	return &eventReader{r: bufio.NewReaderSize(r, 8<<10), limit: limit}
}

// next returns the data of the next event that has data, its lines joined by line feeds. It skips
// everything else (comments, ids, names), which SignalR does not use. The data are valid until the
// next call. An incomplete event at the end of the stream is ignored; the error is then [io.EOF].
// The error of an event that exceeds the limit is [bufio.ErrTooLong].
func (e *eventReader) next() ([]byte, error) {
	e.data, e.hasData = e.room(e.data), false
	for {
		if _, err := e.r.Peek(1); err != nil {
			return nil, err
		}
		chunk, _ := e.r.Peek(e.r.Buffered())
		n, ended := e.take(chunk)
		_, _ = e.r.Discard(n) // cannot fail: these bytes were peeked
		switch {
		case len(e.line) > e.limit || len(e.data) > e.limit:
			return nil, bufio.ErrTooLong
		case ended && len(e.data) > 0:
			return e.data, nil
		}
	}
}

// take reads lines of chunk up to the end of an event and returns the number of bytes read.
func (e *eventReader) take(chunk []byte) (n int, ended bool) {
	for n < len(chunk) && !ended {
		if e.cr && chunk[n] == '\n' {
			e.cr = false
			n++
			continue
		}
		e.cr = false
		length := bytes.IndexAny(chunk[n:], "\r\n")
		if length < 0 {
			e.line = append(e.line, chunk[n:]...)
			return len(chunk), false
		}
		e.line = append(e.line, chunk[n:n+length]...)
		e.cr = chunk[n+length] == '\r'
		n += length + 1
		ended = e.lineEnded()
	}
	return n, ended
}

// lineEnded handles a complete line. It reports whether an event has ended.
func (e *eventReader) lineEnded() bool {
	line := e.line
	if !e.pastFirstLine {
		line = bytes.TrimPrefix(line, []byte("\uFEFF"))
		e.pastFirstLine = true
	}
	e.line = e.room(e.line)
	if len(line) == 0 {
		ended := e.hasData
		e.hasData = false
		return ended
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	if string(name) != "data" {
		return false
	}
	if e.hasData {
		e.data = append(e.data, '\n')
	}
	e.hasData = true
	e.data = append(e.data, bytes.TrimPrefix(value, []byte(" "))...)
	return false
}

// room empties b for reuse. It frees the memory of a long event.
func (e *eventReader) room(b []byte) []byte {
	if cap(b) > mebibyte {
		return nil
	}
	return b[:0]
}
