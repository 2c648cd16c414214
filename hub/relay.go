package hub

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/protocol"
)

// Relay takes the place of a hub's methods: another program answers its clients. After the
// handshake their bytes pass in both directions as they are, and the program may use any hub
// protocol. Groups, users and audiences are those of the hub.
type Relay interface {
	// Open is called with the handshake of a client, as it was sent, with its separator. The
	// program answers it by Relayed.Answer. Open must not block. If it fails, the handshake is
	// answered with the text of the error.
	Open(c *Relayed, handshake []byte) (Remote, error)
}

// Remote is the other program's end of a client.
type Remote interface {
	// Receive gets the bytes that the client sends, in order. data is only valid during the
	// call. While Receive blocks, nothing more is read from the client. After an error the
	// rest is dropped: the connection is about to end.
	Receive(ctx context.Context, data []byte) error
	// Ended is called once, when the client has gone, with the cause of its end, or nil after
	// an orderly one. It must not block.
	Ended(cause error)
}

// Relayed is a client of a hub with a Relay. Its methods are safe for concurrent use and never
// block.
type Relayed struct {
	session  *Session
	ctx      context.Context
	remote   Remote
	lastSent atomic.Int64 // the last time that the other program sent messages: an age of the session
}

// ConnectionID returns the connection's public id.
func (r *Relayed) ConnectionID() string { return r.session.caller.id }

// Caller returns the client as methods see it.
func (r *Relayed) Caller() *Caller { return &r.session.caller }

// Protocol returns the name of the hub protocol that the client has chosen.
func (r *Relayed) Protocol() string { return r.session.out.wire.Name() }

// Answer sends the answer to the handshake. From then on the client receives the messages of its
// audiences. Only the first call counts.
func (r *Relayed) Answer(response []byte) {
	r.session.opening.connect(frame.New(response, false))
}

// Send sends whole messages in the client's protocol. The bytes must not be modified afterwards. A
// client with a full queue is cut, as by Sender.Send. A ping is not sent by long polling, which
// needs none.
func (r *Relayed) Send(messages []byte) {
	s := r.session
	if s.caller.info.NoPings && bytes.Equal(messages, s.out.wire.ping.Payload()) {
		return
	}
	r.lastSent.Store(int64(time.Since(s.caller.begun)))
	s.out.send(s.out.wire.frame(messages))
}

// End ends the connection after the queued messages, without a close message.
func (r *Relayed) End(cause error) {
	if was := r.session.out.phase.startClosing(); was != closing {
		r.session.endSession(was, cause, nil, false)
	}
}

// Lose ends the connection so that the client reconnects, as Hub.Shutdown does.
func (r *Relayed) Lose(cause error) { r.session.lose(cause) }

// Context returns a context with the values of the request that opened the connection. It ends with
// the connection or the session.
func (r *Relayed) Context() context.Context { return r.ctx }

// relay passes a well-formed handshake to the Relay.
func (o *opening) relay(q protocol.HandshakeRequest, handshake []byte) {
	s := o.session
	w := s.hub.relayWire(q.Protocol)
	if w.index != opaqueWire && w.Binary() && !s.caller.info.Binary { // the program refuses its own protocols
		o.refuse(fmt.Sprintf("Cannot use the '%s' protocol on the current transport. The transport does not support 'Binary' transfer format.", w.Name()))
		return
	}
	s.out.wire = w
	ctx, cancel := context.WithCancelCause(s.ctx)
	conn := s.out.conn.Context()
	context.AfterFunc(conn, func() { cancel(context.Cause(conn)) })
	r := &Relayed{session: s, ctx: ctx}
	remote, err := s.hub.options.Relay.Open(r, handshake)
	if err != nil {
		o.refuse(err.Error())
		return
	}
	r.remote = remote
	s.relayed.Store(r)
}

// blazorpack is the protocol of Blazor Server. Its framing and its ping are those of MessagePack.
const blazorpack = "blazorpack"

// relayWire returns the wire of a protocol that another program may know.
func (h *Hub) relayWire(name string) *wire {
	if w := h.wireNamed(name); w != nil {
		return w
	}
	return newWire(protocol.NewOpaque(name, fold.Equal(name, blazorpack)), opaqueWire, nil)
}

// receiveRelayed passes data to the other program.
func (s *Session) receiveRelayed(r *Relayed, data []byte) {
	if phase := s.out.phase.Load(); len(data) == 0 || phase == finishing || phase == closing {
		return
	}
	s.out.uncork()
	if !s.awaitBytes(len(data)) {
		return
	}
	if err := r.remote.Receive(r.ctx, data); err != nil {
		s.log().debug("client not relayed", slog.String("error", clip(err.Error())))
		s.out.phase.stopReceiving()
	}
}

// endRelayed tells the other program that the client has gone, if it knows the client. The lock of the
// input is free soon: the context of a Receive that waits has ended. Without a Relay a method that the
// reader waits for may itself wait for the end of the session.
func (s *Session) endRelayed(cause error) {
	if s.hub.options.Relay == nil {
		return
	}
	s.input.mu.Lock()
	defer s.input.mu.Unlock()
	if r := s.relayed.Load(); r != nil {
		r.remote.Ended(cause)
	}
}

// pingDelay is the time by which a ping of the hub comes later than one that the other program sends
// at the same interval, so that a client does not get both.
const pingDelay = 2 * sweepInterval

// isQuiet reports whether the other program has sent nothing for so long that the hub has to ping.
func (r *Relayed) isQuiet(age, interval time.Duration) bool {
	return age-time.Duration(r.lastSent.Load()) >= interval+pingDelay
}
