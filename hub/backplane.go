package hub

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/protocol"
)

// Commander has commands done in other processes. Its methods are called concurrently.
type Commander interface {
	// Attach is called once, by New. The data that comes from other processes is passed to
	// local.
	Attach(local Local)
	// Command has a command done in the other processes, and waits until it is done.
	Command(ctx context.Context, c Command) error
}

// Backplane joins a hub to the hubs of other processes. Package hub keeps the connections of
// its own process and calls a Backplane for all others; the Backplane passes on data and
// knows no sessions. Its methods are called concurrently.
type Backplane interface {
	Commander
	// Join announces one more member of each audience in this process: a connection, a user
	// or a group. It returns when messages to them arrive here. The hub waits for it between
	// the answer to a handshake and OnConnected, and in Groups.Add. If it fails, the
	// connection ends, or Add fails.
	Join(ctx context.Context, to ...Audience) error
	// Leave takes one Join back, a failed one too. It must not block.
	Leave(to ...Audience)
	// Send sends a message to an audience in all processes. In this one it calls
	// Local.Deliver, so that all processes see the messages in the same order, and returns
	// afterwards, so that an answer follows its method's messages. Messages to connections
	// of this process do not pass through Send.
	Send(ctx context.Context, to Audience, m Message) error
	// Ask sends a message to a connection of another process and waits for the client's
	// answer. It fails with ErrNoConnection if no process has the connection, and with the
	// cause of ctx. It must also end if the other process never answers.
	Ask(ctx context.Context, connectionID string, m Message) (Answer, error)
}

// SubscriptionCounter is implemented by a Backplane that knows in which other processes an audience
// has members.
type SubscriptionCounter interface {
	// Subscribers returns the number of other processes with members of each name of an
	// audience, all names together, and the number of all other processes. Members that have
	// left a moment ago may count.
	Subscribers(ctx context.Context, to Audience) (subscriptions, processes int, err error)
}

// ErrNoConnection is returned by Ask if no process has the connection.
var ErrNoConnection = errors.New("hub: no process has the connection")

// AudienceKind is the meaning of an audience's names.
type AudienceKind int

// The kinds of audiences.
const (
	Everyone      AudienceKind = iota // without names
	ToConnections                     // ids of connections
	InGroups                          // names of groups
	OfUsers                           // ids of users
)

// Audience describes the receivers of a message.
type Audience struct {
	Kind  AudienceKind
	Names []string
	// Except are ids of connections that do not receive the message.
	Except []string
}

// Message is an encoded invocation of clients. It must not be modified.
type Message struct {
	// ID is the id of the result that is wanted, with 128 random bits. It is part of the
	// frames. Only messages of Ask have one.
	ID string
	// Method is the name of the method. It may be empty in a message from elsewhere: the
	// receiving hub takes it from the JSON frame if its policy for slow consumers needs it.
	Method string
	// Frames are the invocation in each hub protocol, with its framing, by the protocol's
	// name.
	Frames map[string][]byte
	// Delivery is the policy for slow consumers that the sender has set. If it is nil, the
	// policy of the receiving hub applies.
	Delivery *frame.Delivery
}

// Answer is a client's answer to a message with an ID.
type Answer struct {
	// Protocol is the name of the client's hub protocol.
	Protocol string
	// Result is the encoded result, or nil.
	Result []byte
	// Failed reports whether the client answered with Error, or could not be asked.
	Failed bool
	Error  string
}

// Action is the kind of a command.
type Action int

// The actions. AddToGroup and RemoveFromGroup have an audience of one connection.
const (
	AddToGroup Action = iota + 1
	RemoveFromGroup
	EndConnections      // see Hub.CloseConnections
	RemoveFromAllGroups // of one connection
	AddUserToGroup      // this and the next two are of one user; see UserGroups
	RemoveUserFromGroup
	RemoveUserFromAllGroups
)

// Command is a change of connections, in whichever process they are.
type Command struct {
	Action Action
	To     Audience
	Group  string
	// TTL is the time for which AddUserToGroup keeps the membership.
	TTL time.Duration
	// Reason and AllowReconnect are those of the close message of EndConnections.
	Reason         string
	AllowReconnect bool
}

// Local is the part of a hub that its process keeps for itself. A Commander uses it to
// deliver the data that comes from other processes. Its methods are safe for concurrent use.
type Local struct{ hub *Hub }

// Deliver sends a message to the members of an audience in this process. It waits for no
// client. It encodes nothing, unless a receiver needs a protocol that the message lacks: then
// it takes the values from another. It fails if it cannot.
func (l Local) Deliver(to Audience, m Message) error {
	return l.hub.local.send(context.Background(), to, l.hub.received(m))
}

// connectionDisconnected is the answer, to other processes, of a client that has gone.
const connectionDisconnected = "Connection disconnected."

// Ask sends a message with an ID to a connection of this process, as Deliver does. wait waits
// for the client's answer. If the client goes, the answer is an error. If this process does
// not have the connection, wait returns that answer, too, with ErrNoConnection.
func (l Local) Ask(connectionID string, m Message) (wait func(ctx context.Context) (Answer, error)) {
	s := l.hub.local.find(connectionID)
	if s == nil {
		gone := Answer{Protocol: l.hub.wires[0].Name(), Failed: true, Error: connectionDisconnected}
		return func(context.Context) (Answer, error) { return gone, ErrNoConnection }
	}
	answer := Answer{Protocol: s.out.wire.Name()}
	q := &pendingResult{session: s, id: m.ID, done: make(chan struct{})}
	q.decode = func(_ protocol.HubProtocol, raw []byte) error {
		answer.Result = bytes.Clone(raw)
		return nil
	}
	f, err := l.hub.received(m).frame(s.out.wire)
	if err == nil {
		err = q.add()
	}
	if err == nil {
		s.out.send(f)
	}
	return func(ctx context.Context) (Answer, error) {
		failure := err
		if failure == nil {
			failure = q.wait(ctx)
		}
		return answer.failed(failure)
	}
}

// failed returns the answer for other processes if err is the outcome of the question.
func (a Answer) failed(err error) (Answer, error) {
	if err == nil {
		return a, nil
	}
	name, text := describe(err)
	switch {
	case errors.Is(err, errEnded):
		text = connectionDisconnected
	case name != hubException:
		return Answer{}, err
	}
	return Answer{Protocol: a.Protocol, Failed: true, Error: text}, nil
}

// Command does a command for the connections of this process. found is the number of names
// that no other process can have. It is 0 for users and groups, which may have connections in
// several processes. Adding to a group waits for Join. An unknown action changes nothing.
func (l Local) Command(ctx context.Context, c Command) (found int, err error) {
	switch c.Action {
	case EndConnections:
		return len(c.To.Names) - len(l.hub.local.end(c)), nil
	case AddUserToGroup, RemoveUserFromGroup, RemoveUserFromAllGroups:
		return 0, l.hub.changeUser(ctx, c)
	}
	for _, id := range c.To.Names {
		switch s := l.hub.local.find(id); {
		case s == nil:
			continue
		case c.Action == AddToGroup:
			err = l.hub.addToGroup(ctx, s, c.Group)
		case c.Action == RemoveFromGroup:
			l.hub.removeFromGroup(s, c.Group)
		case c.Action == RemoveFromAllGroups:
			l.hub.removeFromAllGroups(s)
		}
		found++
	}
	return found, err
}

// received returns the message of another process in the form in which it is sent to clients.
func (h *Hub) received(in Message) *message {
	if in.Method == "" && h.options.SlowConsumers == Conflate {
		var m protocol.Message
		if record, _, err := h.events.Next(in.Frames["json"], 0, 0); err == nil && h.events.Parse(record, &m) == nil {
			in.Method = m.Target
		}
	}
	m := &message{method: in.Method, received: &in}
	if in.ID == "" { // a question is never dropped
		m.delivery = h.delivery(in.Delivery, in.Method)
	}
	for _, w := range h.wires {
		payload, ok := in.Frames[w.Name()]
		if !ok {
			continue
		}
		f := w.frame(payload)
		if m.delivery != (frame.Delivery{}) {
			f = f.With(m.delivery)
		}
		m.frames[w.index].Store(f)
	}
	return m
}
