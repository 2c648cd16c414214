package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/carillon-go/carillon/hub"

	"github.com/carillon-go/carillon/examples/chat/contract"
)

const (
	maxLatest = 100  // messages that a room keeps for newcomers
	maxName   = 40   // bytes of a name
	maxText   = 1000 // bytes of a message
)

// room exists while somebody is in it.
type room struct {
	name   string
	people map[string]string // names by connection id
	next   int               // id of the next message
	latest []contract.Message
}

// chat implements contract.ChatHub. It is safe for concurrent use.
type chat struct {
	clients contract.ChatContext

	mu    sync.Mutex
	rooms map[string]*room
	seats map[string]*room // by connection id
}

// newChat registers the methods of a chat with h.
func newChat(h *hub.Hub) *chat {
	c := &chat{clients: contract.NewChatContext(h), rooms: map[string]*room{}, seats: map[string]*room{}}
	contract.RegisterChatHub(h, c)
	h.OnDisconnected(c.leave)
	return c
}

// Join takes a seat in a room. A connection has one seat.
func (c *chat) Join(ctx context.Context, roomName, name string) ([]contract.Message, error) {
	roomName, name = strings.TrimSpace(roomName), strings.TrimSpace(name)
	if roomName == "" || name == "" || len(roomName) > maxName || len(name) > maxName {
		return nil, hub.NewError("a room and a person need a short name")
	}
	id := hub.CallerFrom(ctx).ConnectionID()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seats[id] != nil {
		return nil, hub.NewError("you are in a room already")
	}
	if err := c.clients.Groups().Add(ctx, id, roomName); err != nil {
		return nil, err
	}
	r := c.rooms[roomName]
	if r == nil {
		r = &room{name: roomName, people: map[string]string{}}
		c.rooms[roomName] = r
	}
	c.seats[id], r.people[id] = r, name
	return slices.Clone(r.latest), c.showPeopleLocked(ctx, r)
}

// Say keeps the message for newcomers and sends it to the room. Sending does not wait for
// the clients, so it is done under the lock: everybody gets the messages in one order.
func (c *chat) Say(ctx context.Context, text string) error {
	text = strings.TrimSpace(text)
	if text == "" || len(text) > maxText {
		return hub.NewError("a message has 1 to 1000 bytes")
	}
	id := hub.CallerFrom(ctx).ConnectionID()
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.seats[id]
	if r == nil {
		return hub.NewError("join a room first")
	}
	m := contract.Message{ID: r.next, Name: r.people[id], Text: text, At: time.Now().UTC()}
	r.next++
	r.latest = append(r.latest, m)
	r.latest = r.latest[max(0, len(r.latest)-maxLatest):]
	return c.clients.Clients().Group(r.name).Said(ctx, m)
}

// leave runs when a connection has ended. The hub has removed it from its group.
func (c *chat) leave(ctx context.Context, _ error) {
	id := hub.CallerFrom(ctx).ConnectionID()
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.seats[id]
	if r == nil {
		return
	}
	delete(c.seats, id)
	delete(r.people, id)
	if len(r.people) == 0 {
		delete(c.rooms, r.name)
		return
	}
	_ = c.showPeopleLocked(ctx, r) // it fails only for values that cannot be encoded
}

func (c *chat) showPeopleLocked(ctx context.Context, r *room) error {
	return c.clients.Clients().Group(r.name).Present(ctx, slices.Sorted(maps.Values(r.people)))
}
