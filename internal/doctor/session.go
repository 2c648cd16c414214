package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// carrier moves text over one transport.
type carrier interface {
	// connect returns when the connection is accepted. An event stream counts as connected
	// even if its head does not arrive: a proxy may hold it back.
	connect() error
	send(text string) error
	// receive passes on received data until the connection ends, and returns the reason.
	receive(arrived func(text []byte)) error
	// close is called last, after all other methods have returned.
	close()
}

// session is one connection to the hub under examination.
type session struct {
	carrier
	x         *examiner
	n         *negotiated
	transport *Transport
	ctx       context.Context
	cancel    context.CancelFunc
	began     time.Time

	arrivals chan arrival
	reading  sync.WaitGroup
	rest     []byte // an incomplete record
	bytes    int    // received so far
}

// arrival is a record, or the end of the connection.
type arrival struct {
	record []byte
	at     time.Time
	err    error
}

// ahead is how many arrivals may be queued: more than a probe causes.
const ahead = 256

func (x *examiner) newSession(ctx context.Context, t *Transport, n *negotiated) *session {
	s := &session{x: x, n: n, transport: t, arrivals: make(chan arrival, ahead)}
	s.ctx, s.cancel = context.WithCancel(ctx)
	switch t.Name {
	case WebSockets:
		s.carrier = &webSocket{session: s}
	case ServerSentEvents:
		s.carrier = &eventStream{session: s}
	default:
		s.carrier = &longPolling{session: s}
	}
	return s
}

func (s *session) close() {
	s.cancel()
	s.reading.Wait()
	s.carrier.close()
}

const (
	separator = "\x1e"
	handshake = `{"protocol":"json","version":1}` + separator
	ping      = `{"type":6}` + separator
)

// open connects, sends the handshake and waits for its answer.
func (s *session) open() error {
	s.began = time.Now()
	if err := s.connect(); err != nil {
		return err
	}
	s.transport.Connect = millis(time.Since(s.began))
	s.reading.Go(s.read)
	if err := s.send(handshake); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	return nil
}

// read splits received data into records.
func (s *session) read() {
	err := s.receive(func(text []byte) {
		s.rest = append(s.rest, text...)
		for {
			record, rest, found := bytes.Cut(s.rest, []byte(separator))
			if !found {
				return
			}
			s.hand(arrival{record: slices.Clone(record), at: time.Now()})
			s.rest = slices.Clone(rest)
		}
	})
	s.hand(arrival{err: err, at: time.Now()})
}

func (s *session) hand(a arrival) {
	select {
	case s.arrivals <- a:
	case <-s.ctx.Done():
	}
}

var (
	errHeld = errors.New("nothing arrived in time")
	errOver = errors.New("the connection ended")
)

// await waits for a record that matches.
func (s *session) await(limit time.Duration, wanted func(record []byte) bool) (arrival, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case a := <-s.arrivals:
			if a.err != nil {
				return a, fmt.Errorf("%w: %w", errOver, a.err)
			}
			s.bytes += len(a.record)
			if wanted(a.record) {
				return a, nil
			}
		case <-timer.C:
			return arrival{}, errHeld
		case <-s.ctx.Done():
			return arrival{}, context.Cause(s.ctx)
		}
	}
}

func anything([]byte) bool { return true }

// measure waits for the handshake's answer and then measures the delay of calls.
func (s *session) measure() {
	t := s.transport
	a, err := s.await(heldPatience, anything)
	switch {
	case errors.Is(err, errHeld):
		t.Connect, t.Buffered = 0, true
		t.Error = "buffered by a proxy"
		s.fill()
		return
	case err != nil:
		t.Error = err.Error()
		return
	case !bytes.Equal(bytes.TrimSpace(a.record), []byte("{}")):
		t.Error = "handshake: " + beginning(a.record)
		return
	}
	t.FirstEvent = millis(a.at.Sub(s.began))
	t.Works = true
	s.callRepeatedly()
}

// calls is how many calls are timed.
const calls = 8

func (s *session) callRepeatedly() {
	t := s.transport
	var delays []time.Duration
	for i := range calls {
		began := time.Now()
		if err := s.call(i, "doctor"); err != nil {
			t.Works, t.Error = false, err.Error()
			return
		}
		a, err := s.await(heldPatience, answerTo(i))
		if errors.Is(err, errHeld) {
			// The stream opened and was then held back. That is worse than a stream that never
			// opens, because clients do not fall back.
			t.Works, t.Buffered, t.Error = false, true, "buffered by a proxy"
			s.fill()
			return
		}
		if err != nil {
			t.Works, t.Error = false, err.Error()
			return
		}
		delays = append(delays, a.at.Sub(began))
	}
	slices.Sort(delays)
	t.Delay, t.DelayMax = millis(delays[len(delays)/2]), millis(delays[len(delays)-1])
}

// call invokes an unknown method. Servers repeat its name in the answer, so the name's
// length decides the answer's length.
func (s *session) call(id int, method string) error {
	return s.send(`{"type":1,"invocationId":"` + strconv.Itoa(id) + `","target":"` + method + `","arguments":[]}` + separator)
}

func answerTo(id int) func([]byte) bool {
	mark := []byte(`"invocationId":"` + strconv.Itoa(id) + `"`)
	return func(record []byte) bool { return bytes.Contains(record, mark) }
}

const (
	fillStep = 2 << 10
	fillMost = 64 << 10
)

// fill makes the server send until a message arrives, to measure how much is held back.
func (s *session) fill() {
	name := strings.Repeat("doctor..", fillStep/8)
	for sent := fillStep; sent <= fillMost; sent += fillStep {
		if s.call(calls+sent, name) != nil {
			return
		}
		const atOnce = 100 * time.Millisecond
		switch _, err := s.await(atOnce, anything); {
		case err == nil:
			s.transport.BufferedBytes = sent
			return
		case !errors.Is(err, errHeld):
			return
		}
	}
}
