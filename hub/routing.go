package hub

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/internal/guard"
)

// SendEncoded sends messages that are encoded already to an audience in all processes, as
// Sender.Send does. They must be whole messages of their protocols. A receiver with another
// protocol gets them transcoded, if they are invocations.
func (h *Hub) SendEncoded(ctx context.Context, to Audience, in Message) error {
	m := h.received(in)
	if h.backplane == nil {
		return h.local.send(ctx, to, m)
	}
	return h.publish(ctx, to, m, in.Delivery != nil)
}

// publish sends a message in all processes. Connections of this process that are named get
// it directly, as in the original. ownPolicy is set if the sender has chosen the policy for
// slow consumers.
func (h *Hub) publish(ctx context.Context, to Audience, m *message, ownPolicy bool) error {
	if to.Kind == ToConnections {
		if err := h.local.send(ctx, to, m); err != nil {
			return err
		}
		to.Names = h.local.elsewhere(to.Names)
		if len(to.Names) == 0 {
			return nil
		}
	}
	out, err := h.encoded(m.method, m.frame)
	if err != nil {
		return err
	}
	if ownPolicy {
		out.Delivery = &m.delivery
	}
	return h.backplane.Send(ctx, to, out)
}

// encoded returns a message for other processes, in all hub protocols. It lacks a protocol
// that the hub does not serve if the arguments cannot be encoded in it.
func (h *Hub) encoded(method string, in func(*wire) (*frame.Frame, error)) (Message, error) {
	out := Message{Method: method, Frames: make(map[string][]byte, len(h.outgoing))}
	for i, w := range h.outgoing {
		f, err := in(w)
		switch {
		case err != nil && i < len(h.wires):
			return Message{}, err
		case err != nil:
			continue
		}
		out.Frames[w.Name()] = f.Payload()
	}
	return out, nil
}

// ask invokes a method on one client and waits for its result, which it
// passes to decode undecoded. If ask fails, decode may still be running.
func (h *Hub) ask(ctx context.Context, client *audienceSender, method string, args []any, decode decoder) error {
	connectionID, id := client.to.Names[0], ""
	if h.backplane == nil {
		id = "s" + strconv.FormatInt(h.lastResultID.Add(1), 10)
	} else { // several processes may ask one client, so a counter is not enough
		var random [16]byte
		_, _ = rand.Read(random[:]) // never fails
		id = base64.RawStdEncoding.EncodeToString(random[:])
	}
	if s := h.local.find(connectionID); s != nil {
		q := &pendingResult{session: s, id: id, decode: decode, done: make(chan struct{})}
		return q.ask(ctx, method, args)
	}
	if h.backplane == nil || client.local {
		return noSuchConnection(connectionID)
	}
	question, err := h.encoded(method, func(w *wire) (*frame.Frame, error) { return w.invocation(id, method, args) })
	if err != nil {
		return err
	}
	question.ID = id
	return h.askElsewhere(ctx, connectionID, question, decode)
}

func (h *Hub) askElsewhere(ctx context.Context, connectionID string, question Message, decode decoder) error {
	answer, err := h.backplane.Ask(ctx, connectionID, question)
	w := h.wireNamed(answer.Protocol)
	switch {
	case errors.Is(err, ErrNoConnection):
		return noSuchConnection(connectionID)
	case err != nil:
		return err
	case answer.Failed:
		return NewError(answer.Error)
	case answer.Result == nil:
		return errNoResult
	case w == nil:
		return fmt.Errorf("hub: a result has the unknown protocol %q", answer.Protocol)
	}
	return decode.safely(w, answer.Result)
}

// command has a command done in the other processes.
func (h *Hub) command(ctx context.Context, c Command) error {
	if h.commands == nil {
		return nil
	}
	return h.commands.Command(ctx, c)
}

// groups implements Groups for all processes.
type groups struct{ hub *Hub }

func (g groups) Add(ctx context.Context, connectionID, group string) error {
	if s := g.hub.local.find(connectionID); s != nil {
		return g.hub.addToGroup(ctx, s, group)
	}
	return g.command(ctx, AddToGroup, connectionID, group)
}

func (g groups) Remove(ctx context.Context, connectionID, group string) error {
	if s := g.hub.local.find(connectionID); s != nil {
		g.hub.removeFromGroup(s, group)
		return nil
	}
	return g.command(ctx, RemoveFromGroup, connectionID, group)
}

func (g groups) RemoveFromAll(ctx context.Context, connectionID string) error {
	if s := g.hub.local.find(connectionID); s != nil {
		g.hub.removeFromAllGroups(s)
		return nil
	}
	return g.command(ctx, RemoveFromAllGroups, connectionID, "")
}

// command changes a connection of another process.
func (g groups) command(ctx context.Context, a Action, connectionID, group string) error {
	return g.hub.command(ctx, Command{Action: a, To: Audience{Kind: ToConnections, Names: []string{connectionID}}, Group: group})
}

// addToGroup adds a session to a group when the group's messages arrive in this process.
func (h *Hub) addToGroup(ctx context.Context, s *Session, group string) error {
	if h.backplane == nil {
		_, err := h.local.join(s, group)
		return err
	}
	to := Audience{Kind: InGroups, Names: []string{group}}
	joined, err := false, h.backplane.Join(ctx, to)
	if err == nil {
		joined, err = h.local.join(s, group)
	}
	if !joined {
		h.backplane.Leave(to)
	}
	return err
}

func (h *Hub) removeFromGroup(s *Session, group string) {
	if h.local.leave(s, group) && h.backplane != nil && !h.joining.postpone(s, group) {
		h.backplane.Leave(Audience{Kind: InGroups, Names: []string{group}})
	}
}

func (h *Hub) removeFromAllGroups(s *Session) {
	for _, group := range s.groups.list() {
		h.removeFromGroup(s, group)
	}
}

// joining holds the groups that sessions are removed from while they join the backplane, so that
// Leave follows the Join that it takes back.
type joining struct {
	mu   sync.Mutex
	left map[*Session][]string // by each session that joins
}

func (j *joining) begin(s *Session) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.left == nil {
		j.left = make(map[*Session][]string)
	}
	j.left[s] = nil
}

// postpone keeps a group for end, and reports whether the session joins now.
func (j *joining) postpone(s *Session, group string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	left, joins := j.left[s]
	if joins {
		j.left[s] = append(left, group)
	}
	return joins
}

// end ends begin, and leaves the groups that were kept.
func (j *joining) end(s *Session, b Backplane) {
	j.mu.Lock()
	left := j.left[s]
	delete(j.left, s)
	j.mu.Unlock()
	for _, group := range left {
		b.Leave(Audience{Kind: InGroups, Names: []string{group}})
	}
}

// join makes messages to a session and to its groups arrive in this process, after
// joining.begin.
func (h *Hub) join(s *Session, groups []string) error {
	defer h.joining.end(s, h.backplane)
	return guard.Run(func() error { return h.backplane.Join(s.ctx, s.caller.audiences(groups)...) })
}

// audiences returns the audiences that the connection and its groups belong to.
func (c *Caller) audiences(groups []string) []Audience {
	all := []Audience{{Kind: ToConnections, Names: []string{c.id}}}
	if id := c.UserID(); id != "" {
		all = append(all, Audience{Kind: OfUsers, Names: []string{id}})
	}
	if len(groups) > 0 {
		all = append(all, Audience{Kind: InGroups, Names: groups})
	}
	return all
}
