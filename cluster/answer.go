package cluster

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"
)

// serveQuestions answers the questions of a stream until it breaks, or this process ends.
func (n *Node) serveQuestions(_ *http.Server, conn *tls.Conn, _ http.Handler) {
	if !n.enter() {
		return
	}
	defer n.running.Done()
	defer context.AfterFunc(n.serving, func() { _ = conn.Close() })()
	n.answerAll(conn)
}

// answerAll answers questions one after the other, and sends the answers together to questions
// that have arrived together.
func (n *Node) answerAll(conn net.Conn) {
	r := bufio.NewReader(conn)
	var in, out []byte
	for {
		if !hasFrame(r) || len(out) > maxBatch {
			_ = conn.SetDeadline(time.Now().Add(pingInterval + pingTimeout)) // the other end asks or pings more often
			if len(out) > 0 {
				if _, err := conn.Write(out); err != nil {
					return
				}
			}
			if out = out[:0]; cap(out) > maxBatch {
				out = nil
			}
		}
		f, err := readFrame(r, in)
		if err != nil {
			return
		}
		if in = f.content; cap(in) > maxBatch {
			in = nil
		}
		out = n.appendAnswer(out, f)
	}
}

// appendAnswer appends the answer to a frame.
func (n *Node) appendAnswer(out []byte, f frame) []byte {
	answer, err := n.answerFrame(f)
	if err != nil {
		return appendFrame(out, refusalKind, f.id, []byte(err.Error()))
	}
	return appendFrame(out, answerKind, f.id, answer)
}

var (
	errKind = errors.New("frames of this kind are not known")
	errPath = errors.New("questions with this path are not known")
)

func (n *Node) answerFrame(f frame) ([]byte, error) {
	if f.kind != questionKind {
		return nil, errKind
	}
	path, question, ok := cutQuestion(f.content)
	if !ok {
		return nil, errMessage
	}
	answer, err := n.answer(path, question)
	if err != nil {
		return nil, err
	}
	return encode(answer)
}

// answer answers a question. It must not wait, because the other questions of the stream wait
// for it.
func (n *Node) answer(path string, question []byte) (any, error) {
	switch path {
	case helloPath:
		return answerWith(question, n.answerHello)
	case findPath:
		return answerWith(question, n.answerFind)
	case drainPath:
		return answerWith(question, n.answerDrain)
	case endPath:
		return answerWith(question, n.answerEnd)
	case endedPath:
		return answerWith(question, n.answerEnded)
	case learnPath:
		return answerWith(question, n.answerLearn)
	case commandPath:
		return answerWith(question, n.answerCommand)
	}
	return nil, errPath // of a later release
}

// answerWith decodes a question and answers it.
func answerWith[Q any](question []byte, answer func(*Q) (any, error)) (any, error) {
	var q Q
	if decode(question, &q) != nil {
		return nil, errMessage
	}
	return answer(&q)
}

func (n *Node) answerHello(theirs *hello) (any, error) {
	n.members.heard(*theirs)
	return n.hello(), nil
}

func (n *Node) answerFind(question *find) (any, error) {
	return n.known(question.hub).find(question), nil
}
