package golden

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// patience is the time limit for an expected answer. Only a failing case waits that long.
const patience = 25 * time.Second

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
	known bindings

	peers     map[string]*peer
	exchanges map[string]*exchange
	raw       map[string][]byte // frames for a single write
	events    map[string]*events
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
		known:     bindings{values: map[string]string{}},
		peers:     map[string]*peer{},
		exchanges: map[string]*exchange{},
		raw:       map[string][]byte{},
		events:    map[string]*events{},
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
	{key: "sendUntil", one: (*session).sendUntil},
	{key: "send", one: (*session).send},
	{key: "sendHex", one: (*session).sendHex},
	{key: "sendFrame", one: (*session).sendFrame},
	{key: "sendClose", one: (*session).sendClose},
	{key: "recv", several: (*session).recv},
	{key: "recvHex", one: (*session).recvHex},
	{key: "recvCounted", one: (*session).recvCounted},
	{key: "recvPong", one: (*session).recvPong},
	{key: "recvClose", one: (*session).recvClose},
	{key: "closed", one: (*session).closed},
	{key: "recvEnd", one: (*session).recvEnd},
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

var outgoing = regexp.MustCompile(`<(?:(id|token)\d*|sid|jwt of \w+|jwt with a wrong signature|jwt)>`)

// expand replaces the placeholders in a text to send by their values. For a token without a
// value it negotiates at the hub of that path.
func (s *session) expand(text, hub string) (string, error) {
	var failed error
	got := outgoing.ReplaceAllStringFunc(text, func(name string) string {
		v, err := s.placeholder(name[1:len(name)-1], hub)
		failed = errors.Join(failed, err)
		return v
	})
	return got, failed
}

func (s *session) placeholder(name, hub string) (string, error) {
	switch {
	case name == "sid":
		if len(s.known.sids) == 0 {
			return "", errors.New("no invocation id of the server came yet")
		}
		return s.known.sids[len(s.known.sids)-1], nil
	case strings.HasPrefix(name, "jwt"):
		return s.jwt(name)
	}
	if v, ok := s.known.values[name]; ok {
		return v, nil
	}
	if err := s.negotiate(hub, strings.TrimLeft(name, "idtoken")); err != nil {
		return "", err
	}
	return s.known.values[name], nil
}

// answered removes the invocation id that was just answered, if there are others.
func (s *session) answered(sent string) {
	if strings.Contains(sent, "<sid>") && len(s.known.sids) > 1 {
		s.known.sids = s.known.sids[:len(s.known.sids)-1]
	}
}
