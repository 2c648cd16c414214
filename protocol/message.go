package protocol

import "errors"

// MessageType says what a hub message is. Numbers beyond the constants occur: a receiver ignores such messages.
type MessageType int

// The types of hub messages, by their number on the wire.
const (
	Invocation       MessageType = 1 + iota // a call of Target, with or without an InvocationID
	StreamItem                              // one item of the stream InvocationID
	Completion                              // the end of the call or the stream InvocationID
	StreamInvocation                        // a call of Target whose results come as a stream
	CancelInvocation                        // the receiver of the stream InvocationID wants no more
	Ping                                    // the sender is alive
	Close                                   // the sender ends the connection
	Ack                                     // the sender has received everything up to SequenceID
	Sequence                                // the next counted message of the sender has the number SequenceID
)

// Message is one parsed hub message. Fields that its Type does not have mean nothing.
//
// Byte slices point into the record it was parsed from and are valid as long as that is; strings are copies. A Message that is used again
// keeps the strings that come again, and saves their copies.
type Message struct {
	Type         MessageType
	InvocationID string // "" means none: an empty one on the wire counts as none
	Target       string

	// Arguments is the raw array of the arguments, for [HubProtocol.Bind].
	Arguments []byte
	StreamIDs []string          // of the streams that the caller uploads, in the order of the parameters
	Headers   map[string]string // nil if there are none

	// Payload is the raw item of a StreamItem or the raw result of a Completion, for [HubProtocol.Decode].
	Payload   []byte
	HasResult bool // of a Completion: Payload counts, be it null

	Error    string // of a Completion or a Close
	HasError bool   // an empty Error is an error too

	AllowReconnect bool  // of a Close
	SequenceID     int64 // of an Ack or a Sequence

	fault      *Fault     // for Settle: fatal, unless reading what was before it failed
	unknown    *Fault     // fatal with ErrUnknown
	forgivable *BindError // the one failure that makes fault harmless; nil: any
}

// ErrUnknown tells Settle that nobody wants the message: there is no such target or stream, or no such call whose result it is.
var ErrUnknown = errors.New("protocol: nobody wants the message")

// Settle says what a message comes to, once it is known how [HubProtocol.Bind] or [HubProtocol.Decode] ended or that nobody wants it
// ([ErrUnknown]): err, or the [*Fault] that ends the connection.
//
// ASP.NET Core binds while it reads and reads no further after a failure. So some violations, in or behind the arguments, the item
// or the result, are fatal only if that was wanted and right, others only if it was not. Parse cannot know and keeps them.
func (m *Message) Settle(err error) error {
	switch {
	case m.unknown != nil && errors.Is(err, ErrUnknown):
		return m.unknown
	case m.fault == nil:
		return err
	case m.forgivable == nil && err != nil:
		return err
	case m.forgivable != nil && m.forgivable.isLike(err):
		return m.forgivable
	}
	return m.fault
}

// reuse returns b as a string: the old one if it is the same.
func reuse(old string, b []byte) string {
	if string(b) == old {
		return old
	}
	return string(b)
}
