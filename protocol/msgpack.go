package protocol

// MessagePack is the binary encoding of hub messages.
//
// It is written by hand on the append and read functions of tinylib/msgp: for the frame of an invocation these take half the time of
// vmihailenco/msgpack's encoder and a sixth of its decoder, which allocates besides, and the exact widths that
// .NET writes are ours to choose. Generated methods of msgp are honoured.
//
// How Go values are written and read, where it is not plain:
//
//   - structs as maps, fields by their `msgpack:"name,omitempty"` or `msgpack:"-"` tag, else by the name as declared, read with regard
//     to case
//   - nil pointers, slices, maps and interfaces as nil; nil is an error for what is none of these, but "" for a string
//   - integers in the shortest form, but as wide as their type within an empty interface; read in any width that fits, and into floats
//   - [time.Time] as the timestamp extension, of which .NET keeps 100 ns; read in UTC. A DateTimeOffset is read too, with its offset
//   - [DateTimeOffset] as DateTimeOffset: an array of a timestamp and minutes
//   - [time.Duration] as TimeSpan: a number of 100 ns. [json.Number] as decimal and [Guid] as Guid: strings
//   - types with methods of [encoding.TextMarshaler] and its reverse as strings
//   - into an empty interface: int64 (uint64 where it must be), float32, float64, string, bool, []byte, time.Time, []any, map[string]any
type MessagePack struct {
	encoders typeCache[encodeFunc]
	decoders typeCache[packDecodeFunc]
}

// NewMessagePack returns the MessagePack hub protocol.
func NewMessagePack() *MessagePack {
	p := &MessagePack{}
	p.encoders.build = p.encoder
	p.decoders.build = p.decoder
	return p
}

var _ HubProtocol = (*MessagePack)(nil)

// Name returns "messagepack".
func (p *MessagePack) Name() string { return "messagepack" }

// Binary returns true.
func (p *MessagePack) Binary() bool { return true }

// Version returns [MaxVersion].
func (p *MessagePack) Version() int { return MaxVersion }

// Next cuts the first record off buf, without its length prefix.
func (p *MessagePack) Next(buf []byte, limit int) (record, rest []byte, err error) {
	return nextBinary(buf, limit)
}
