package cluster

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
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
		out = n.answerFrame(out, f, conn)
	}
}

// later makes an answer on a goroutine of its own, so that the other questions of the stream do not
// wait for it.
type later func() (any, error)

// maxLater is the number of answers of a process that are made later, at a time.
const maxLater = 64

var (
	errKind  = errors.New("frames of this kind are not known")
	errPath  = errors.New("questions with this path are not known")
	errLater = errors.New("the process has too many questions")
)

// answerFrame appends the answer to a frame, or writes it to w later.
func (n *Node) answerFrame(out []byte, f frame, w io.Writer) []byte {
	path, question, ok := cutQuestion(f.content)
	switch {
	case f.kind != questionKind:
		return appendAnswer(out, f.id, nil, errKind)
	case !ok:
		return appendAnswer(out, f.id, nil, errMessage)
	}
	answer, err := n.answer(path, question)
	answerLater, ok := answer.(later)
	if !ok {
		return appendAnswer(out, f.id, answer, err)
	}
	select {
	case n.later <- struct{}{}:
	default:
		return appendAnswer(out, f.id, nil, errLater)
	}
	n.running.Go(func() {
		defer func() { <-n.later }()
		answer, err := answerLater()
		_, _ = w.Write(appendAnswer(nil, f.id, answer, err))
	})
	return out
}

// appendAnswer appends an answer, or a refusal if there is an error.
func appendAnswer(out []byte, id uint64, answer any, err error) []byte {
	var encoded []byte
	if err == nil {
		encoded, err = encode(answer)
	}
	if err != nil {
		return appendFrame(out, refusalKind, id, []byte(err.Error()))
	}
	return appendFrame(out, answerKind, id, encoded)
}

// answer answers a question. It must not wait, because the other questions of the stream wait
// for it; a later may.
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
	case surveyPath:
		return answerWith(question, n.answerSurvey)
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
