package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// Events is the protocol of clients that only listen, such as EventSource. An invocation
// is an event with the method as its name and the arguments, a JSON array, as its data.
// The Append methods write text of an event stream without the blank line at the end.
// Clients cannot choose Events in a handshake and send no messages.
type Events struct{ *JSON }

var (
	errWantsResult = errors.New("protocol: a client that only listens cannot return results")
	errEventName   = errors.New("protocol: the name of an event must not contain a line break")
)

// Retry is the start of every event stream: the time in milliseconds after which
// EventSource reconnects when the stream has ended.
const Retry = "retry: 2000"

// Gap is the event that informs a listener that it missed events which are no longer
// kept.
const Gap = "event: carillon-gap\r\ndata: []"

// comment is text that EventSource ignores.
const comment = ":"

// Name implements HubProtocol.
func (Events) Name() string { return "events" }

// AppendInvocation implements HubProtocol. It fails if a completion is wanted.
func (p Events) AppendInvocation(dst []byte, id, target string, _ map[string]string, _ []string, args ...any) ([]byte, error) {
	switch {
	case id != "":
		return dst, errWantsResult
	case strings.ContainsAny(target, "\r\n"):
		return dst, errEventName
	}
	out := append(dst, "event: "...) //nolint:gocritic // dst is given back if an argument cannot be written
	out = append(append(out, target...), "\r\ndata: "...)
	start := len(out)
	out, err := p.appendArguments(out, args)
	if err != nil {
		return dst, err
	}
	if bytes.ContainsAny(out[start:], "\r\n") { // between the tokens of a Raw
		var line bytes.Buffer
		_ = json.Compact(&line, out[start:]) // never fails: the arguments are valid
		out = append(out[:start], line.Bytes()...)
	}
	return out, nil
}

// AppendPing implements HubProtocol.
func (Events) AppendPing(dst []byte) []byte { return append(dst, comment...) }

// AppendClose implements HubProtocol. It appends a comment, because a stream has no close
// message but its end.
func (Events) AppendClose(dst []byte, _ string, _ bool) []byte { return append(dst, comment...) }
