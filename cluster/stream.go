package cluster

import (
	"bufio"
	"encoding/binary"
	"io"
	"slices"
)

// A stream carries the questions of one process to another, and the answers. It is a network
// connection with TLS. Its ALPN protocol names the version of this format. The first question is
// a hello. A frame is
//
//	length 4 | kind 1 | id 8 | content
//
// in big endian; length counts the bytes that follow it. A question contains the length of its
// path in one byte, the path, and JSON. An answer has the id of its question and contains JSON.
// A refusal has the id as well and contains a text for people. A process refuses frames of a
// kind, and questions with a path, that it does not know.
const (
	streamProtocol = "carillon-questions/1"

	questionKind = 1
	answerKind   = 2
	refusalKind  = 3

	frameHead = 4 + leastFrame
	maxPath   = 255
	// The limits of length.
	leastFrame = 1 + 8
	maxFrame   = leastFrame + 1 + maxPath + maxMessage
)

type frame struct {
	kind    byte
	id      uint64
	content []byte
}

// appendFrame appends a frame. Its content is the parts together.
func appendFrame(b []byte, kind byte, id uint64, parts ...[]byte) []byte {
	length := leastFrame
	for _, part := range parts {
		length += len(part)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(length))
	b = binary.BigEndian.AppendUint64(append(b, kind), id)
	for _, part := range parts {
		b = append(b, part...)
	}
	return b
}

// appendQuestion appends a question. path has at most maxPath bytes.
func appendQuestion(b []byte, id uint64, path string, message []byte) []byte {
	var head [1 + maxPath]byte
	n := copy(head[1:], path)
	head[0] = byte(n)
	return appendFrame(b, questionKind, id, head[:1+n], message)
}

// cutQuestion returns the path and the JSON of a question.
func cutQuestion(content []byte) (path string, message []byte, ok bool) {
	if len(content) == 0 || len(content) <= int(content[0]) {
		return "", nil, false
	}
	end := 1 + int(content[0])
	return string(content[1:end]), content[end:], true
}

// readFrame reads a frame. Its content is in the memory of into, if that is large enough.
func readFrame(r *bufio.Reader, into []byte) (frame, error) {
	head, err := r.Peek(frameHead)
	if err != nil {
		return frame{}, err
	}
	length := binary.BigEndian.Uint32(head)
	if length < leastFrame || length > maxFrame {
		return frame{}, errMessage
	}
	f := frame{kind: head[4], id: binary.BigEndian.Uint64(head[5:])}
	_, _ = r.Discard(frameHead) // it is buffered
	n := int(length) - leastFrame
	f.content = slices.Grow(into[:0], n)[:n]
	_, err = io.ReadFull(r, f.content)
	return f, err
}

// hasFrame reports whether readFrame would return a frame without a wait.
func hasFrame(r *bufio.Reader) bool {
	if r.Buffered() < frameHead {
		return false
	}
	head, _ := r.Peek(frameHead)
	length := binary.BigEndian.Uint32(head)
	return length >= leastFrame && uint64(length) <= uint64(r.Buffered()-4)
}
