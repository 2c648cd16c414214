// Package contract is the contract of the chat: the methods of the hub, and the methods of
// its clients.
package contract

import (
	"context"
	"time"
)

//go:generate go tool -modfile=../../../tools/gen.mod carillon-gen -hub ChatHub -client Chat -ts ../web/chathub.ts

// ChatHub has the methods that clients may invoke.
type ChatHub interface {
	// Join enters a room under a name and returns the latest messages of the room.
	Join(ctx context.Context, room, name string) ([]Message, error)
	// Say sends a text to everybody in the caller's room.
	Say(ctx context.Context, text string) error
}

// Chat has the methods that every client implements.
type Chat interface {
	// Said shows a message.
	Said(ctx context.Context, m Message) error
	// Present shows the names of the people in the room.
	Present(ctx context.Context, names []string) error
}

// Message is a message in a room. The messages of a room have ascending numbers.
type Message struct {
	ID   int       `json:"id"`
	Name string    `json:"name"`
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}
