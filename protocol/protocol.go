package protocol

// MaxVersion is the highest version of the hub protocols. Version 2 adds the messages of
// stateful reconnect, [Ack] and [Sequence].
const MaxVersion = 2

// HubProtocol is one encoding of hub messages. It is safe for concurrent use and keeps no
// state per connection. Other packages cannot implement it: hubs take protocols by name
// ("json", "messagepack"), clients as a value of [NewJSON] or [NewMessagePack].
//
// The Append methods append one message with its framing to dst and return the extended
// slice. If a value cannot be encoded, they return dst unchanged and a [*Fault].
type HubProtocol interface {
	Name() string // "json" or "messagepack", as in the handshake, which ignores case
	Binary() bool // needs a carrier that can transfer bytes

	// Next returns the first complete record of buf and the rest after it. A nil record
	// without an error means that more data is needed. seen is the number of bytes in
	// which an earlier call has found no complete record: these are not searched again, so
	// that the work is linear in the length of a record that arrives in many pieces. limit
	// is the largest message in bytes, with its separator or length prefix; 0 or less means
	// no limit. The error is a [*Fault].
	Next(buf []byte, seen, limit int) (record, rest []byte, err error)

	// Parse fills m from a record. The error is a [*Fault]. A message of an unknown type
	// is not an error: m.Type is then outside the constants and the other fields are
	// empty. Some violations are only decided after Bind or Decode: call
	// [Message.Outcome] then.
	Parse(record []byte, m *Message) error

	// Bind decodes the raw arguments of a message into the same number of pointers. The
	// error is a [*CountError] or a [*BindError]. JSON checks the types of the arguments
	// before their number, MessagePack checks the number first.
	Bind(arguments []byte, targets ...any) error

	// Decode decodes one raw value, an item or a result, into a pointer. The error is a
	// [*DecodeError].
	Decode(raw []byte, target any) error

	// AppendInvocation appends an invocation. id "" means that no completion is wanted.
	// MessagePack allows no empty name and no empty value of a header.
	AppendInvocation(dst []byte, id, target string, headers map[string]string, streamIDs []string, args ...any) ([]byte, error)
	// AppendStreamInvocation appends an invocation with results as the stream id.
	AppendStreamInvocation(dst []byte, id, target string, headers map[string]string, streamIDs []string, args ...any) ([]byte, error)
	AppendStreamItem(dst []byte, id string, item any) ([]byte, error)
	AppendResult(dst []byte, id string, result any) ([]byte, error) // a nil result is an explicit null
	AppendRawResult(dst []byte, id string, raw []byte) []byte       // raw is the Payload of a Message of the same protocol
	AppendVoid(dst []byte, id string) []byte                        // a completion without result and error: the end of a stream
	AppendError(dst []byte, id, message string) []byte
	AppendCancel(dst []byte, id string) []byte
	AppendPing(dst []byte) []byte
	AppendClose(dst []byte, message string, allowReconnect bool) []byte // message "": no error
	AppendAck(dst []byte, sequenceID int64) []byte
	AppendSequence(dst []byte, sequenceID int64) []byte

	sealed()
}
