// Package contract is the sample of carillon-gen: two interfaces with every kind of
// method and type, the files generated from them, and tests with the official client.
package contract

import (
	"context"
	"encoding/json"
	"iter"
	"time"
)

//go:generate go tool -modfile=../../tools/gen.mod carillon-gen -hub ChatHub -client Chat -ts chathub.ts
//go:generate go tool -modfile=../../tools/gen.mod carillon-gen -hub ChatHub -client Chat -ts chathub.messagepack.ts -protocol messagepack

// ChatHub has the methods that clients may invoke.
type ChatHub interface {
	// Send says something in a room.
	Send(ctx context.Context, room, text string) error
	// History returns the last n messages of a room.
	History(ctx context.Context, room string, n int) ([]Message, error)
	// Follow streams the messages of a room.
	Follow(ctx context.Context, room string) (iter.Seq2[Message, error], error)
	// Import says several things and returns their number.
	Import(ctx context.Context, room string, lines iter.Seq2[string, error]) (int, error)
	// Echo streams the values that it gets.
	Echo(ctx context.Context, values iter.Seq2[Values, error]) (iter.Seq2[Values, error], error)
	// Ask asks the caller.
	Ask(ctx context.Context, question string) (bool, error)
	// RoundTrip returns its argument.
	RoundTrip(ctx context.Context, v Values) (Values, error)
	//carillon:name leave-room
	Leave(ctx context.Context, function string) error
	Any(ctx context.Context, v any) (any, error)
}

// Chat has the methods that every client implements.
type Chat interface {
	// Receive shows a message.
	Receive(ctx context.Context, m Message) error
	// Confirm asks the person.
	Confirm(ctx context.Context, question string) (bool, error)
}

// Kind is the kind of a message.
type Kind string

// The kinds.
const (
	Spoken  Kind = "spoken"
	Shouted Kind = "shouted"
)

// Level is a number with names.
type Level int

// The levels.
const (
	Low  Level = 1
	High Level = 2
)

// Header is embedded.
type Header struct {
	ID int `json:"id" msgpack:"id"`
}

// Message is a line in a room.
type Message struct {
	Header
	Room string    `json:"room" msgpack:"room"`
	Text string    `json:"text" msgpack:"text"`
	Kind Kind      `json:"kind" msgpack:"kind"`
	At   time.Time `json:"at" msgpack:"at"`
}

// Page is generic.
type Page[T any] struct {
	Items []T     `json:"items" msgpack:"items"`
	Next  *string `json:"next" msgpack:"next"`
}

// Values has a field of each kind.
type Values struct {
	Text     string            `json:"text" msgpack:"text"`
	Truth    bool              `json:"truth" msgpack:"truth"`
	Small    int8              `json:"small" msgpack:"small"`
	Long     int64             `json:"long,string" msgpack:"long"`
	Real     float64           `json:"real" msgpack:"real"`
	Bytes    []byte            `json:"bytes" msgpack:"bytes"`
	At       time.Time         `json:"at" msgpack:"at"`
	Span     time.Duration     `json:"span" msgpack:"span"`
	Level    Level             `json:"level" msgpack:"level"`
	Maybe    *int              `json:"maybe" msgpack:"maybe"`
	Left     string            `json:"left,omitempty" msgpack:"left,omitempty"`
	Names    map[string]string `json:"names" msgpack:"names"`
	Page     Page[Message]     `json:"page" msgpack:"page"`
	Children []Values          `json:"children" msgpack:"children"`
	Anything any               `json:"anything" msgpack:"anything"`
	Raw      json.RawMessage   `json:"raw,omitempty" msgpack:"-"`
	Untagged int
}
