package golden

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// request sends a request on a new connection. Another step reads the answer.
func (s *session) request(st, next Step) error {
	method, path, _ := strings.Cut(st.text("request"), " ")
	r := request{method: method, path: path, proto: "HTTP/1.1", lengthless: value[bool](st, "lengthless")}
	if st.has("proto") {
		r.proto = st.text("proto")
	}
	var err error
	if r.body, err = s.known.body(st); err != nil {
		return err
	}
	if r.headers, err = s.known.headers(st, nil, path); err != nil {
		return err
	}
	if r.path, err = s.known.expand(path, hubPath(path)); err != nil {
		return err
	}
	x, err := send(s.addr, r)
	if err != nil {
		return err
	}
	s.forget(st.on())
	s.exchanges[st.on()] = x
	s.ended = s.ended || method == "DELETE"
	if !next.has("response") || next.on() != st.on() {
		settle(next)
	}
	return nil
}

// forget closes the exchange with a name.
func (s *session) forget(on string) {
	if x, ok := s.exchanges[on]; ok {
		x.drop()
	}
	delete(s.exchanges, on)
}

// settle gives the server time to process a step if the next step depends on that.
func settle(next Step) {
	if next.has("request") || next.has("websocket") || next.has("client") || next.has("server") {
		time.Sleep(settling) // a client cannot see when the server has done it
	}
}

// response compares an answer with the recorded one.
func (s *session) response(st, _ Step) error {
	x, err := s.exchange(st)
	if err != nil {
		return err
	}
	if wait, ok := strings.CutPrefix(st.text("response"), "nothing within "); ok {
		return x.silent(wait)
	}
	deadline := time.Now().Add(patience)
	for {
		err := s.compare(x, st, deadline)
		if err == nil || !s.mayComeLater(st) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(betweenSends) // a busy loop would load the server
		if x, err = s.again(st.on(), x); err != nil {
			return err
		}
	}
}

// mayComeLater reports whether the server may answer so only after a moment, because it
// learns of an ended connection later.
func (s *session) mayComeLater(st Step) bool {
	return s.ended && strings.HasPrefix(st.text("response"), "404")
}

// again repeats a request.
func (s *session) again(on string, x *exchange) (*exchange, error) {
	fresh, err := send(s.addr, x.request)
	if err != nil {
		return nil, err
	}
	x.drop()
	s.exchanges[on] = fresh
	return fresh, nil
}

func (s *session) compare(x *exchange, st Step, deadline time.Time) error {
	if err := x.readHead(deadline); err != nil {
		return err
	}
	s.ended = s.ended || strings.HasPrefix(x.status, "204")
	err := s.compareWith(x, st, deadline)
	if or := value[Step](st, "or"); err != nil && or != nil {
		return s.compareWith(x, or, deadline)
	}
	return err
}

func (s *session) compareWith(x *exchange, st Step, deadline time.Time) error {
	if want := st.text("response"); x.status != want {
		_ = x.readBody(time.Now().Add(settling)) // only for the error message
		return fmt.Errorf("answered %s %q, want %s", x.status, x.body, want)
	}
	switch {
	case strings.HasPrefix(x.status, "101"):
		s.upgraded(st.on(), x)
	case x.eventStream():
	default:
		if err := x.readBody(deadline); err != nil {
			return err
		}
		if err := s.compareBody(x, st, deadline); err != nil {
			return err
		}
	}
	if !st.has("headers") {
		return nil
	}
	return compareHeaders(value[[]string](st, "headers"), x)
}

func (s *session) compareBody(x *exchange, st Step, deadline time.Time) error {
	raw, ok := st["body"]
	if ok && raw[0] == '[' {
		return s.comparePolled(x, st, deadline)
	}
	want, err := s.known.body(st)
	if err != nil {
		return err
	}
	return s.known.match(string(want), string(x.body))
}

// comparePolled compares hub messages, which may arrive in several polls.
func (s *session) comparePolled(x *exchange, st Step, deadline time.Time) error {
	want := value[[]json.RawMessage](st, "body")
	all := string(x.body)
	for strings.Count(all, "\x1e") < len(want) && x.status == "200 OK" && time.Now().Before(deadline) {
		fresh, err := s.again(st.on(), x)
		if err != nil {
			return err
		}
		if err := fresh.readAnswer(deadline); err != nil {
			return err
		}
		x, all = fresh, all+string(fresh.body)
	}
	got := strings.SplitAfter(all, "\x1e")
	if len(got) != len(want)+1 || got[len(want)] != "" {
		return differ(fmt.Sprintf("%d messages", len(want)), all)
	}
	for i, w := range want {
		if err := s.known.match(string(w), strings.TrimSuffix(got[i], "\x1e")); err != nil {
			return err
		}
	}
	return nil
}

// silent checks that no answer arrives for a while.
func (x *exchange) silent(wait string) error {
	long, err := duration(wait)
	if err != nil {
		return err
	}
	if err := x.readHead(time.Now().Add(min(long, time.Second))); err == nil {
		return fmt.Errorf("answered %s where nothing was to come", x.status)
	}
	return nil
}

// duration parses "300 ms" and "5.0 s".
func duration(text string) (time.Duration, error) {
	return time.ParseDuration(strings.ReplaceAll(text, " ", ""))
}

// becomes sends a GET for a new connection and checks the transport for which the server
// takes it.
func (s *session) becomes(st, _ Step) error {
	s.known.values = map[string]string{}
	get := Step{"request": quote("GET /lab?id=<token>"), "headers": st["headers"]}
	answer := Step{"response": quote("200 OK")}
	if err := s.request(get, answer); err != nil {
		return err
	}
	if err := s.response(answer, nil); err != nil {
		return err
	}
	types := map[string]string{"event stream": "text/event-stream", "poll": "application/octet-stream"}
	want, got := types[st.text("becomes")], header(s.exchanges[""].headers, "Content-Type")
	if got != want {
		return fmt.Errorf("Content-Type %s, want %s", got, want)
	}
	return nil
}

// until repeats a request until the recorded answer arrives. Before that, every answer must
// be the other recorded one.
func (s *session) until(st, next Step) error {
	want := Step{"response": st["until"], "body": st["body"]}
	deadline := time.Now().Add(2 * patience)
	for {
		ask := Step{"request": st["asking"], "on": quote("until")}
		if err := s.request(ask, Step{"response": nil, "on": quote("until")}); err != nil {
			return err
		}
		x := s.exchanges["until"]
		err := s.compare(x, want, deadline)
		if err == nil {
			return nil
		}
		if x.status != st.text("before") || time.Now().After(deadline) {
			return err
		}
		time.Sleep(settling) // a busy loop would load the server
	}
}

// client performs a client's action on a connection, such as closing it.
func (s *session) client(st, next Step) error {
	defer settle(next)
	s.ended = true
	what := st.text("client")
	if x, ok := s.exchanges[st.on()]; ok && strings.HasPrefix(what, "drops the") && !strings.HasSuffix(what, "TCP connection") {
		return x.tcp.Close()
	}
	p, err := s.peer(st)
	if err != nil {
		return err
	}
	p.away = true
	switch what {
	case "ends its half of the TCP connection":
		if next.has("recv") && len(p.in) == 0 {
			_ = p.fill(time.Now().Add(patience)) // a server need not answer a call once it has seen the end
		}
		return p.tcp.CloseWrite()
	case "resets the TCP connection":
		return p.reset()
	case "drops the TCP connection":
		return p.tcp.Close()
	case "reads nothing more":
		s.ended = false
		return nil
	}
	return fmt.Errorf("the client cannot %q", what)
}

// server performs an action on the server, such as SIGTERM.
func (s *session) server(st, _ Step) error {
	if what := st.text("server"); what != "SIGTERM" {
		return fmt.Errorf("the server cannot %q", what)
	}
	s.ended = true
	return s.stop()
}
