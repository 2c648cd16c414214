package golden

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// patience is the time limit for an expected answer. Only a failing case waits that long.
const patience = time.Minute

// The recorded client paused between steps where the server had to process one step before
// the next. The pauses have fixed lengths, because a client cannot see when the server has
// done that.
const (
	betweenSends = 30 * time.Millisecond
	settling     = 150 * time.Millisecond
)

// A session is the replay of one case.
type session struct {
	addr  string // host:port
	file  string
	name  string
	stop  func() error // sends SIGTERM to the server; nil if the test does not own the server
	known *bindings

	peers     map[string]*peer
	exchanges map[string]*exchange
	shaken    bool // a hub handshake was made
	ended     bool // a connection ended, and the server may not know it yet
}

func newSession(baseURL, file, name string) (*session, error) {
	u, err := url.Parse(baseURL)
	if err != nil {
		return nil, err
	}
	return &session{
		addr: u.Host, file: file, name: name,
		known:     newBindings(u.Host),
		peers:     map[string]*peer{},
		exchanges: map[string]*exchange{},
	}, nil
}

// close closes all connections that the case left open.
func (s *session) close() {
	for _, p := range s.peers {
		p.drop()
	}
	for _, x := range s.exchanges {
		x.drop()
	}
}

// play runs the steps in order.
func (s *session) play(steps []Step) error {
	for i := 0; i < len(steps); i++ {
		taken, err := s.step(steps[i:])
		if err != nil {
			return fmt.Errorf("step %d %s: %w", i+1, steps[i], err)
		}
		i += taken - 1
	}
	return s.leave()
}

// flush writes the frames that sendFrame collected.
func (s *session) flush() error {
	for _, p := range s.peers {
		if err := p.flush(); err != nil {
			return err
		}
	}
	return nil
}

// leave ends a case.
func (s *session) leave() error {
	if err := s.flush(); err != nil {
		return err
	}
	for on, p := range s.peers {
		if err := p.leave(); err != nil {
			return fmt.Errorf("at the end, on %q: %w", on, err)
		}
	}
	return nil
}

// step runs the first step, or several of one kind together, and returns the number of steps
// run.
func (s *session) step(steps []Step) (int, error) {
	st := steps[0]
	if !st.has("sendFrame") {
		if err := s.flush(); err != nil {
			return 0, err
		}
	}
	for _, k := range kinds {
		if !st.has(k.key) {
			continue
		}
		if k.several != nil {
			return k.several(s, steps)
		}
		return 1, k.one(s, st, following(steps))
	}
	return 0, errors.New("a step of no known kind")
}

func following(steps []Step) Step {
	if len(steps) > 1 {
		return steps[1]
	}
	return nil
}

// A kind is one kind of step. one runs a step and gets the next one for reference. several
// runs one or more steps.
type kind struct {
	key     string
	one     func(s *session, st, next Step) error
	several func(s *session, steps []Step) (int, error)
}

// The order matters: some kinds have fields with the names of later ones.
var kinds = []kind{
	{key: "open", one: (*session).open},
	{key: "websocket", one: (*session).websocket},
	{key: "sendUntil", one: onPeer((*peer).sendUntil)},
	{key: "send", one: onPeer((*peer).send)},
	{key: "sendHex", one: onPeer((*peer).sendHex)},
	{key: "sendFrame", one: onPeer((*peer).sendFrame)},
	{key: "sendClose", one: onPeer((*peer).sendClose)},
	{key: "recv", several: (*session).recv},
	{key: "recvHex", one: onPeer((*peer).recvHex)},
	{key: "recvCounted", one: onPeer((*peer).recvCounted)},
	{key: "recvPong", one: onPeer((*peer).recvPong)},
	{key: "recvClose", one: onPeer((*peer).recvClose)},
	{key: "closed", one: onPeer((*peer).closed)},
	{key: "recvEnd", one: onPeer((*peer).recvEnd)},
	{key: "recvNothing", one: (*session).recvNothing},
	{key: "until", one: (*session).until},
	{key: "request", one: (*session).request},
	{key: "response", one: (*session).response},
	{key: "becomes", one: (*session).becomes},
	{key: "posted", one: (*session).posted},
	{key: "chunk", one: (*session).chunk},
	{key: "chunkHex", one: (*session).chunkHex},
	{key: "client", one: (*session).client},
	{key: "server", one: (*session).server},
	{key: "note", one: func(*session, Step, Step) error { return nil }},
}

// onPeer returns the function of a kind of step that concerns only a WebSocket.
func onPeer(run func(p *peer, st, next Step) error) func(s *session, st, next Step) error {
	return func(s *session, st, next Step) error {
		p, err := s.peer(st)
		if err != nil {
			return err
		}
		err = run(p, st, next)
		s.ended = s.ended || p.said || p.end != nil
		return err
	}
}

// peer returns the WebSocket that a step concerns.
func (s *session) peer(st Step) (*peer, error) {
	p, ok := s.peers[st.on()]
	if !ok {
		return nil, fmt.Errorf("no WebSocket %q", st.on())
	}
	return p, nil
}

func (s *session) exchange(st Step) (*exchange, error) {
	x, ok := s.exchanges[st.on()]
	if !ok {
		return nil, fmt.Errorf("no request %q", st.on())
	}
	return x, nil
}
