package protocol

import (
	"errors"
	"strings"
)

// Events is the protocol of those who only listen, as EventSource does: an invocation is
// an event whose name is the method and whose data are the arguments as a JSON array.
// What it appends is text of an event stream without the blank line at the end. Nothing
// comes from its clients, and nobody can ask for it in a handshake.
type Events struct{ *JSON }

var (
	errWantsResult = errors.New("protocol: a client that only listens gives no results")
	errEventName   = errors.New("protocol: a name with a line break is none of an event")
)

// Retry is what a stream of events begins with: the time in milliseconds after which
// EventSource comes back when the stream has ended.
const Retry = "retry: 2000"

// Gap is the event that tells a listener that it missed more than is kept for it.
const Gap = "event: carillon-gap\r\ndata: []"

// comment is text that EventSource does not show.
const comment = ":"

// Name implements HubProtocol.
func (Events) Name() string { return "events" }

// AppendInvocation implements HubProtocol. It fails if a completion is wanted.
func (p Events) AppendInvocation(dst []byte, id, target string, _ []string, args ...any) ([]byte, error) {
	switch {
	case id != "":
		return dst, errWantsResult
	case strings.ContainsAny(target, "\r\n"):
		return dst, errEventName
	}
	out := append(dst, "event: "...) //nolint:gocritic // dst is given back if an argument cannot be written
	out = append(append(out, target...), "\r\ndata: "...)
	out, err := p.appendArguments(out, args) // one line: values that write themselves are respelled
	if err != nil {
		return dst, err
	}
	return out, nil
}

// AppendPing implements HubProtocol.
func (Events) AppendPing(dst []byte) []byte { return append(dst, comment...) }

// AppendClose implements HubProtocol: the end of the stream says it all.
func (Events) AppendClose(dst []byte, _ string, _ bool) []byte { return append(dst, comment...) }
