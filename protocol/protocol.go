package protocol

// MaxVersion is the highest version of the hub protocols: 2 adds the messages of stateful reconnect, [Ack] and [Sequence].
const MaxVersion = 2

// HubProtocol is one encoding of hub messages. It is safe for concurrent use and keeps no state per connection.
//
// The Append methods append one message with its framing to dst and return the extended slice. Where they return an error it is a
// [*Fault], because a value cannot be written; dst is then returned as it was.
type HubProtocol interface {
	Name() string // "json", "messagepack": as the handshake says it, without regard to case
	Binary() bool // needs a carrier that can transfer bytes
	Version() int // highest version of the handshake

	// Next cuts the first whole record off buf and returns what follows it. A nil record without an error means that more
	// data is needed. limit is the largest message in bytes, with its separator or length prefix; 0 or less: none. The error is a [*Fault].
	Next(buf []byte, limit int) (record, rest []byte, err error)

	// Parse fills m in place from a record. The error is a [*Fault]. A message of an unknown type is none: m.Type is then
	// beyond the constants and nothing else is filled. Whether some violations count is known only after Bind or Decode:
	// ask [Message.Settle] then.
	Parse(record []byte, m *Message) error

	// Bind decodes the raw arguments of a message into as many pointers. The error is a [*CountError] or a [*BindError]. JSON
	// looks at the types of the arguments before their number, MessagePack at the number first.
	Bind(arguments []byte, targets ...any) error

	// Decode decodes one raw value, an item or a result, into a pointer. The error is a [*DecodeError].
	Decode(raw []byte, target any) error

	AppendInvocation(dst []byte, id, target string, streamIDs []string, args ...any) ([]byte, error) // id "": no completion wanted
	AppendStreamInvocation(dst []byte, id, target string, streamIDs []string, args ...any) ([]byte, error)
	AppendStreamItem(dst []byte, id string, item any) ([]byte, error)
	AppendResult(dst []byte, id string, result any) ([]byte, error) // nil is an explicit null
	AppendVoid(dst []byte, id string) []byte                        // a completion with neither result nor error: the end of a stream
	AppendError(dst []byte, id, message string) []byte
	AppendCancel(dst []byte, id string) []byte
	AppendPing(dst []byte) []byte
	AppendClose(dst []byte, message string, allowReconnect bool) []byte // message "": no error
	AppendAck(dst []byte, sequenceID int64) []byte
	AppendSequence(dst []byte, sequenceID int64) []byte
}
