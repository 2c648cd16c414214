package protocol

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

// Message is one parsed hub message. Only the fields that its Type has are filled, all others are zero.
//
// Byte slices point into the record it was parsed from and are valid as long as that is; strings are copies.
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
}
