package protocol

// JSONOptions configure [JSON]. The zero value is SignalR's default.
type JSONOptions struct {
	AsDeclared bool // untagged struct fields keep their names and do not become camelCase. Default false

	// MaxDepth is the maximum nesting of arrays and objects, in received messages and in
	// encoded values. In a received message the message and its array of arguments count
	// as two levels. A message that exceeds it ends the connection. At most 10,000;
	// default 64, as in System.Text.Json.
	MaxDepth int
}

// JSON is the text encoding of hub messages, spelled as by System.Text.Json with
// SignalR's options.
//
// Go values are encoded and decoded like this:
//
//   - struct fields by their `json:"name,omitempty"` or `json:"-"` tag, untagged ones by
//     [JSONOptions]; names are matched without regard to case
//   - nil pointers, slices, maps and interfaces as null; decoding null into any other type is
//     an error, except that it is "" for a string
//   - []byte as base64, maps in the order of their keys, numbers in .NET's spelling; no number
//     is decoded from a string or from null, no integer from 1.0
//   - [time.Time] as DateTime: seven digits of a second; "Z" in UTC, no zone in [Unspecified]
//     and for the zero time, otherwise the offset. Times with an offset are decoded in
//     [time.Local], those without a zone in Unspecified
//   - [DateTimeOffset] as DateTimeOffset
//   - [time.Duration] as TimeSpan, [json.Number] as decimal (its text is kept), [Guid] as Guid
//   - types with methods of [json.Marshaler] or [encoding.TextMarshaler], and of the reverse
//     interfaces, by these methods; the output of MarshalJSON is spelled anew
//   - the option "string" of a tag as in encoding/json
//   - empty interfaces are decoded as by encoding/json, except that a number that a float64
//     would change becomes an int64, uint64 or [json.Number]
type JSON struct {
	asDeclared bool
	depth      int32
	encoders   encoderTable
	decoders   decoderTable[*jsonDecoder]
}

// NewJSON returns the JSON hub protocol.
func NewJSON(o JSONOptions) *JSON {
	p := &JSON{asDeclared: o.AsDeclared, depth: maxDepth}
	if o.MaxDepth > 0 {
		p.depth = int32(min(o.MaxDepth, maxDepthOption))
	}
	p.encoders = p.encoderTable()
	p.encoders.build = p.encoders.encoder
	p.decoders = p.decoderTable()
	p.decoders.build = p.decoders.decoder
	return p
}

var _ HubProtocol = (*JSON)(nil)

// Name returns "json".
func (p *JSON) Name() string { return "json" }

// Binary returns false.
func (p *JSON) Binary() bool { return false }

// Next cuts the first record off buf.
func (p *JSON) Next(buf []byte, seen, limit int) (record, rest []byte, err error) {
	return nextText(buf, seen, limit)
}

func (p *JSON) sealed() {}
