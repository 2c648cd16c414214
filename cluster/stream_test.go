package cluster

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// newTestAsker returns the asking end of a stream in memory, and the other end.
func newTestAsker(t *testing.T) (*asker, *other) {
	near, far := net.Pipe()
	running := new(sync.WaitGroup)
	a := newAsker(near, &dialer{hello: []byte(`{"version":1}`), askTimeout: askTimeout, running: running})
	running.Go(a.read)
	running.Go(a.write)
	t.Cleanup(func() {
		a.close()
		_ = far.Close()
		running.Wait()
	})
	return a, newOther(far)
}

// other is an end of a stream that a test reads and writes.
type other struct {
	net.Conn
	r *bufio.Reader
}

func newOther(c net.Conn) *other { return &other{c, bufio.NewReader(c)} }

func (o *other) read(t *testing.T) frame {
	t.Helper()
	f, err := readFrame(o.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (o *other) write(t *testing.T, kind byte, id uint64, content string) {
	t.Helper()
	if _, err := o.Write(appendFrame(nil, kind, id, []byte(content))); err != nil {
		t.Fatal(err)
	}
}

func TestAnswersFindTheirQuestions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, o := newTestAsker(t)
		var asking sync.WaitGroup
		for i := range maxAsked {
			asking.Go(func() {
				message := strconv.Itoa(i)
				if got, err := a.ask(t.Context(), findPath, []byte(message)); err != nil || string(got) != "re "+message {
					t.Errorf("%s: %q, %v", message, got, err)
				}
			})
		}
		var all []frame
		for range maxAsked {
			all = append(all, o.read(t))
		}
		for _, f := range slices.Backward(all) {
			path, message, ok := cutQuestion(f.content)
			if !ok || path != findPath || f.kind != questionKind {
				t.Fatalf("%+v", f)
			}
			o.write(t, answerKind, f.id, "re "+string(message))
		}
		asking.Wait()
		if len(a.waiting) > 0 {
			t.Errorf("%d wait", len(a.waiting))
		}
	})
}

// No more than maxAsked questions are in flight, and none outlives its deadline.
func TestFloodOfQuestionsWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, o := newTestAsker(t)
		within, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var asking sync.WaitGroup
		for range 3 * maxAsked {
			asking.Go(func() {
				if _, err := a.ask(within, findPath, []byte("{}")); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		for range maxAsked {
			o.read(t)
		}
		synctest.Wait()
		a.mu.Lock()
		if a.last != maxAsked || len(a.waiting) != maxAsked {
			t.Errorf("%d asked, %d wait", a.last, len(a.waiting))
		}
		a.mu.Unlock()
		go func() { _, _ = io.Copy(io.Discard, o.r) }()
		asking.Wait()
		if len(a.waiting) != 0 || len(a.slots) != 0 || a.broken {
			t.Errorf("%d wait, %d slots, broken %v", len(a.waiting), len(a.slots), a.broken)
		}
	})
}

// Questions for a process that reads nothing take a limited amount of memory, and the stream ends.
func TestProcessThatReadsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, _ := newTestAsker(t)
		long := make([]byte, maxMessage)
		full, broken := 0, 0
		var mu sync.Mutex
		var asking sync.WaitGroup
		for range 10 {
			asking.Go(func() {
				_, err := a.ask(t.Context(), findPath, long)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, errFull):
					full++
				case errors.Is(err, errBroken):
					broken++
				default:
					t.Error(err)
				}
			})
		}
		asking.Wait()
		// One is written, and one waits to be written unless it came before the write had begun.
		if full+broken != 10 || broken < 1 || broken > 2 {
			t.Errorf("%d full, %d broken", full, broken)
		}
		if _, err := a.ask(t.Context(), findPath, nil); !errors.Is(err, errBroken) {
			t.Error(err)
		}
	})
}

// A process that has nothing to answer shows that it lives; one that does not is given up.
func TestSilentStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, o := newTestAsker(t)
		for range 5 {
			f := o.read(t)
			if path, _, _ := cutQuestion(f.content); path != helloPath {
				t.Fatalf("%q", f.content)
			}
			time.Sleep(pingTimeout / 2) // a busy process
			o.write(t, answerKind, f.id, "{}")
		}
		begun := time.Now()
		_, _ = io.Copy(io.Discard, o.r)
		if silent := time.Since(begun); !a.isBroken() || silent != pingInterval+pingTimeout {
			t.Errorf("given up after %v", silent)
		}
	})
}

// An answer that comes too late changes nothing. Frames that answer no question end the stream.
func TestAnswersThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		frame  []byte
		breaks bool
	}{
		"late answer":    {appendFrame(nil, answerKind, 1, nil), false},
		"late refusal":   {appendFrame(nil, refusalKind, 1, nil), false},
		"never asked":    {appendFrame(nil, answerKind, 2, nil), true},
		"a question":     {appendQuestion(nil, 1, findPath, nil), true},
		"unknown kind":   {appendFrame(nil, 9, 1, nil), true},
		"too short":      {[]byte{0, 0, 0, 8, answerKind, 0, 0, 0, 0, 0, 0, 0, 1}, true},
		"too long":       {binary.BigEndian.AppendUint32(nil, maxFrame+1), true},
		"longest length": {[]byte("\xff\xff\xff\xff\x02\x00\x00\x00\x00\x00\x00\x00\x01"), true},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, o := newTestAsker(t)
			within, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			go func() { _, _ = io.Copy(io.Discard, o.r) }()
			if _, err := a.ask(within, findPath, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			_, _ = o.Write(append(c.frame, make([]byte, frameHead)...)[:max(len(c.frame), frameHead)])
			synctest.Wait()
			if a.isBroken() != c.breaks {
				t.Errorf("%s: broken %v", name, a.isBroken())
			}
		})
	}
}

// A process that does not read its answers gets no more of them.
func TestAnswersThatAreNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n, err := New(Options{Secrets: [][]byte{randomSecret()}, Advertise: "a:1"})
		if err != nil {
			t.Fatal(err)
		}
		near, far := net.Pipe()
		asked := 0
		var asking sync.WaitGroup
		asking.Go(func() {
			for ; ; asked++ {
				if _, err := far.Write(appendQuestion(nil, uint64(asked), "/", make([]byte, 100))); err != nil {
					return
				}
			}
		})
		begun := time.Now()
		n.answerAll(near)
		_ = near.Close()
		asking.Wait()
		if asked > 100 || time.Since(begun) > pingInterval+pingTimeout {
			t.Errorf("%d questions were read within %v", asked, time.Since(begun))
		}
	})
}

func TestQuestionsOfALaterRelease(t *testing.T) {
	t.Parallel()
	n, err := New(Options{Secrets: [][]byte{randomSecret()}, Advertise: "a:1"})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		f    frame
		want string
	}{
		"a kind":       {frame{9, 7, nil}, errKind.Error()},
		"an answer":    {frame{answerKind, 7, nil}, errKind.Error()},
		"a path":       {frame{questionKind, 7, []byte("\x08/2/later{}")}, errPath.Error()},
		"no path":      {frame{questionKind, 7, nil}, errMessage.Error()},
		"a short path": {frame{questionKind, 7, []byte("\x03/1")}, errMessage.Error()},
		"no JSON":      {frame{questionKind, 7, []byte("\x07" + findPath)}, errMessage.Error()},
	} {
		f, err := readFrame(bufio.NewReader(bytes.NewReader(n.answerFrame(nil, c.f, nil))), nil)
		if err != nil || f.kind != refusalKind || f.id != c.f.id || string(f.content) != c.want {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
}

// fakeNode accepts streams and answers hellos only.
type fakeNode struct {
	process
	asked   chan string // paths of other questions
	ended   chan struct{}
	refuses bool // other questions, as a release that does not know them
}

func newFakeNode(t *testing.T, secrets [][]byte) *fakeNode {
	t.Helper()
	config := newTestCredentials(t, secrets...).config()
	config.NextProtos = []string{streamProtocol}
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	n := &fakeNode{process: process{newPID(), l.Addr().String()}, asked: make(chan string, 10), ended: make(chan struct{}, 10)}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				n.serve(c)
				n.ended <- struct{}{}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
	})
	return n
}

func (n *fakeNode) serve(c net.Conn) {
	for r := bufio.NewReader(c); ; {
		f, err := readFrame(r, nil)
		if err != nil {
			return
		}
		path, _, _ := cutQuestion(f.content)
		if path != helloPath {
			n.asked <- path
			if n.refuses {
				_, _ = c.Write(appendFrame(nil, refusalKind, f.id, []byte(errPath.Error())))
			}
			continue
		}
		answer := `{"version":1,"pid":"` + n.pid.String() + `","address":"` + n.address + `"}`
		if _, err := c.Write(appendFrame(nil, answerKind, f.id, []byte(answer))); err != nil {
			return
		}
	}
}

// A question to a process that hangs ends at its limit, and with it the stream.
func TestNodeThatHangs(t *testing.T) {
	t.Parallel()
	s := newSites(t, 1)[0]
	fake := newFakeNode(t, s.secrets)
	var answer found
	ask := func(ctx context.Context) error {
		return s.node.call(ctx, fake.process, findPath, &find{}, &answer)
	}
	leaving, leave := context.WithCancel(t.Context())
	go func() {
		<-fake.asked
		leave()
	}()
	if err := ask(leaving); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if s.node.peers.to(fake.address).asker.isBroken() {
		t.Fatal("the end of one question has ended the stream")
	}
	s.node.askTimeout, s.node.peers.dialer.askTimeout = 100*time.Millisecond, 100*time.Millisecond
	if err := ask(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	<-fake.ended
}

// A question does not reach another process at the address of a node that has ended.
func TestNodeThatStartsAgain(t *testing.T) {
	t.Parallel()
	s := newSites(t, 2)
	first := s[1].node.self
	greeting := func(to process) (pid, error) {
		var theirs hello
		err := s[0].node.call(t.Context(), to, helloPath, s[0].node.hello(), &theirs)
		of, _ := parsePID(theirs.PID)
		return of, err
	}
	if of, err := greeting(first); of != first.pid || err != nil {
		t.Fatal(of, err)
	}
	s[1].stop()
	again := newSite(t, "again", listen(t, first.address), Options{Secrets: s[1].secrets})
	if _, err := greeting(first); !errors.Is(err, errGone) {
		t.Error(err)
	}
	for _, to := range []process{again.node.self, {address: first.address}} {
		if of, err := greeting(to); of != again.node.self.pid || err != nil {
			t.Error(of, err)
		}
	}
}

// wire is a network connection with a fixed input.
type wire struct {
	net.Conn
	in  io.Reader
	out bytes.Buffer
}

func (w *wire) Read(b []byte) (int, error)       { return w.in.Read(b) }
func (w *wire) Write(b []byte) (int, error)      { return w.out.Write(b) }
func (*wire) SetDeadline(time.Time) error        { return nil }
func (*wire) SetReadDeadline(time.Time) error    { return nil }
func (*wire) SetWriteDeadline(t time.Time) error { return nil }
func (*wire) Close() error                       { return nil }

func addFrames(f *testing.F) {
	valid := appendQuestion(appendQuestion(nil, 1, helloPath, []byte(`{"version":1}`)), 2, findPath, (&find{hub: "/chat", asking: process{address: "a:1"}}).appendTo(nil))
	question := (&survey{"/chat", hub.Survey{Kind: hub.ListConnections, Of: hub.Audience{Kind: hub.InGroups, Names: []string{"g"}}, Max: 2}}).appendTo(nil)
	for _, seed := range [][]byte{
		appendQuestion(nil, 3, surveyPath, question), {}, valid, valid[:len(valid)-1], valid[1:], appendFrame(appendFrame(nil, answerKind, 2, []byte("{}")), refusalKind, 1, []byte("no")),
		appendFrame(nil, 9, 1<<63, nil), append(valid[:len(valid):len(valid)], make([]byte, frameHead)...), []byte("\xff\xff\xff\xff\x01"), []byte(strings.Repeat("\x00", 40)),
	} {
		f.Add(seed)
	}
}

// Whatever another node sends: each answer is a frame, and there is one for each frame.
func FuzzAnswerAll(f *testing.F) {
	addFrames(f)
	n, err := New(Options{Secrets: [][]byte{randomSecret()}, Advertise: "a:1"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := &wire{in: bytes.NewReader(b)}
		n.answerAll(w)
		in, out := bufio.NewReader(bytes.NewReader(b)), bufio.NewReader(&w.out)
		for {
			question, err := readFrame(in, nil)
			if err != nil {
				break
			}
			if answer, err := readFrame(out, nil); err != nil || answer.id != question.id || answer.kind == questionKind {
				t.Fatalf("%+v: %+v, %v", question, answer, err)
			}
		}
		if out.Buffered() > 0 {
			t.Errorf("%d bytes more", out.Buffered())
		}
	})
}

// Whatever another node answers: each question ends.
func FuzzAsker(f *testing.F) {
	addFrames(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		a := newAsker(&wire{in: bytes.NewReader(b)}, &dialer{})
		var waiting []chan frame
		for range 3 {
			answer := make(chan frame, 1)
			if _, err := a.send(findPath, nil, answer); err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, answer)
		}
		a.read()
		for _, answer := range waiting {
			<-answer
		}
	})
}
