package protocol

import "errors"

// MessageType is the type of a hub message. Numbers outside the constants are possible; a
// receiver ignores such messages.
type MessageType int

// The types of hub messages have their numbers on the wire.
const (
	Invocation       MessageType = 1 + iota // a call of Target, with or without an InvocationID
	StreamItem                              // one item of the stream InvocationID
	Completion                              // the end of the call or the stream InvocationID
	StreamInvocation                        // a call of Target with results as a stream
	CancelInvocation                        // the receiver of the stream InvocationID cancels it
	Ping                                    // the sender is alive
	Close                                   // the sender ends the connection
	Ack                                     // the sender has received all messages up to SequenceID
	Sequence                                // the sender's next numbered message has the number SequenceID
)

// Message is one parsed hub message. Fields that its Type does not have are meaningless.
//
// Byte slices point into the parsed record and are valid as long as the record is;
// strings are copies. A Message that is parsed into again reuses its strings if they are
// equal, to save copies.
type Message struct {
	Type         MessageType
	InvocationID string // "" means none; an empty one on the wire counts as none
	Target       string

	// Arguments is the raw array of the arguments, for [HubProtocol.Bind].
	Arguments []byte
	StreamIDs []string          // of the streams that the caller uploads, in the order of the parameters
	Headers   map[string]string // nil if there are none

	// Payload is the raw item of a StreamItem or the raw result of a Completion, for
	// [HubProtocol.Decode].
	Payload   []byte
	HasResult bool // of a Completion: Payload is a result, possibly null

	Error    string // of a Completion or a Close
	HasError bool   // an empty Error is an error too

	AllowReconnect bool  // of a Close
	SequenceID     int64 // of an Ack or a Sequence

	fault      *Fault     // for Outcome: fatal unless the preceding value did not decode
	unknown    *Fault     // fatal with ErrUnknown
	forgivable *BindError // the only decoding error that makes fault harmless; nil: any error
}

// ErrUnknown is the argument of Message.Outcome that means that the message has no receiver: its target or stream does not
// exist, or no call waits for its result.
var ErrUnknown = errors.New("protocol: the message has no receiver")

// Outcome returns the final outcome of a message: err, or the [*Fault] that ends the
// connection. err is the result of [HubProtocol.Bind] or [HubProtocol.Decode], or
// [ErrUnknown].
//
// ASP.NET Core decodes values while it reads a message and stops reading after a failure.
// So some violations in or after the arguments, the item or the result are fatal only if
// that value decoded; others only if it did not. Parse records them, and Outcome decides.
func (m *Message) Outcome(err error) error {
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

// reuse returns b as a string. It returns old if it is equal.
func reuse(old string, b []byte) string {
	if string(b) == old {
		return old
	}
	return string(b)
}
