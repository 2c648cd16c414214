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

	fault   *Fault     // for Settle
	forgive *BindError // the one end of Bind that makes fault harmless; nil: any
}

// Settle says what has become of a message once it is known how looking for its target, [HubProtocol.Bind] or
// [HubProtocol.Decode] ended: err, or the [*Fault] that ends the connection.
//
// Some violations in or behind the arguments (or the item) are fatal only if the arguments are as the target wants them,
// because ASP.NET Core binds while it reads and reads no further after a failure. Parse cannot know, so it keeps them for Settle. Call it
// with nil if all went well, with any error if there is no such target or nobody waits for the item. For the result of a call that
// nobody waits for call it with nil.
func (m *Message) Settle(err error) error {
	if m.fault == nil {
		return err
	}
	if m.forgive != nil {
		var bind *BindError
		if errors.As(err, &bind) && bind.exception == m.forgive.exception {
			return m.forgive
		}
		return m.fault
	}
	if err != nil {
		return err
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
