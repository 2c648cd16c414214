package golden

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// posted sends data to the connection of the open event stream.
func (s *session) posted(st, _ Step) error {
	stream, err := s.exchange(Step{"on": quote("s")})
	if err != nil {
		return err
	}
	post := Step{"request": quote("POST " + stream.request.path), "body": st["posted"]}
	answer := Step{"response": quote("200 OK"), "headers": []byte(`["@empty"]`)}
	if err := s.request(post, answer); err != nil {
		return err
	}
	return s.response(answer, nil)
}

// chunk compares the data of an event stream: the bytes, or hub messages, however they are
// split into events.
func (s *session) chunk(st, _ Step) error {
	x, err := s.exchange(st)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	if err := x.readHead(deadline); err != nil {
		return err
	}
	text := st.text("chunk")
	switch {
	case text == "":
		s.ended = true
		return x.streamEnd(deadline)
	case strings.Contains(text, "\x1e"):
		return x.streamMessages(s.known, text, deadline)
	}
	return x.bytes(named.Replace(text), deadline)
}

func (s *session) chunkHex(st, _ Step) error {
	x, err := s.exchange(st)
	if err != nil {
		return err
	}
	want, err := hex.DecodeString(st.text("chunkHex"))
	if err != nil {
		return err
	}
	return x.bytes(string(want), time.Now().Add(patience))
}

// bytes compares the next bytes of the body.
func (x *exchange) bytes(want string, deadline time.Time) error {
	for len(x.body) < len(want) && strings.HasPrefix(want, string(x.body)) {
		if err := x.more(deadline); err != nil {
			return fmt.Errorf("%w; there is %q", err, x.body)
		}
		if x.done && len(x.body) < len(want) {
			break
		}
	}
	if !bytes.HasPrefix(x.body, []byte(want)) {
		return differ(want, string(x.body))
	}
	x.body = x.body[len(want):]
	return nil
}

// streamMessages compares the next hub messages. It skips pings between them.
func (x *exchange) streamMessages(known *bindings, text string, deadline time.Time) error {
	text = strings.TrimSuffix(strings.TrimPrefix(text, "data: "), "\r\n\r\n")
	for _, want := range strings.Split(strings.TrimSuffix(text, "\x1e"), "\x1e") {
		got, err := x.streamMessage(deadline)
		for err == nil && got == ping && want != ping {
			got, err = x.streamMessage(deadline)
		}
		if err != nil {
			return err
		}
		if err := known.match(want, got); err != nil {
			return err
		}
	}
	return nil
}

func (x *exchange) streamMessage(deadline time.Time) (string, error) {
	for {
		record, rest, ok := strings.Cut(x.records, "\x1e")
		if ok {
			x.records = rest
			return record, nil
		}
		data, err := x.event(deadline)
		if err != nil {
			return "", err
		}
		x.records += data
	}
}

// event waits for a whole event of one line and returns its data.
func (x *exchange) event(deadline time.Time) (string, error) {
	for {
		event, rest, ok := bytes.Cut(x.body, []byte("\r\n\r\n"))
		if ok {
			data, isData := strings.CutPrefix(string(event), "data: ")
			x.body = rest
			if !isData || strings.ContainsAny(data, "\r\n") {
				return "", fmt.Errorf("no event with one line of data: %q", event)
			}
			return data, nil
		}
		if x.done {
			return "", fmt.Errorf("the event stream has ended behind %q", x.body)
		}
		if err := x.more(deadline); err != nil {
			return "", fmt.Errorf("%w; there is %q", err, x.body)
		}
	}
}

// streamEnd waits for the last chunk. Only pings may arrive before it.
func (x *exchange) streamEnd(deadline time.Time) error {
	for !x.done {
		if err := x.more(deadline); err != nil {
			return fmt.Errorf("the event stream does not end: %w", err)
		}
	}
	rest := x.records + string(x.body)
	if strings.ReplaceAll(rest, "data: "+ping+"\x1e\r\n\r\n", "") != "" {
		return fmt.Errorf("more than was to come: %q", rest)
	}
	return nil
}
