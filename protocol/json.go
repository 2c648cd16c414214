package protocol

// JSONOptions are the options of [JSON]. The zero value is SignalR's default.
type JSONOptions struct {
	AsDeclared bool // untagged struct fields keep their names instead of becoming camelCase. Default false

	// MaxDepth is how deep arrays and objects may nest: in a message that is read, which is one itself and has an array of arguments, and
	// in a value that is written. A message beyond it ends the connection. At most 10,000; default 64, as in System.Text.Json.
	MaxDepth int
}

// JSON is the text encoding of hub messages, spelled as System.Text.Json spells it with SignalR's options.
//
// How Go values are written and read, where it is not plain:
//
//   - struct fields by their `json:"name,omitempty"` or `json:"-"` tag, untagged ones by [JSONOptions]; read without regard to case
//   - nil pointers, slices, maps and interfaces as null; null is an error for what is none of these, but "" for a string
//   - []byte as base64, maps in the order of their keys, numbers in .NET's spelling; no number is read from a string or from null, no
//     integer from 1.0
//   - [time.Time] as DateTime: seven digits of a second; "Z" in UTC, no zone in [Unspecified] and for the zero time, else the
//     offset. What is read with an offset comes in [time.Local], without a zone in Unspecified
//   - [DateTimeOffset] as DateTimeOffset
//   - [time.Duration] as TimeSpan, [json.Number] as decimal (its text is kept), [Guid] as Guid
//   - types with methods of [json.Marshaler] or [encoding.TextMarshaler] and their reverses by these; what MarshalJSON returns is
//     spelled anew
//   - the option "string" of a tag as encoding/json has it
//   - into an empty interface what encoding/json reads there; a number that a float64 would change as int64, uint64 or [json.Number]
type JSON struct {
	asDeclared bool
	depth      int32
	tooDeep    *Fault
	encoders   typeCache[encodeFunc]
	decoders   typeCache[jsonDecodeFunc]
}

// NewJSON returns the JSON hub protocol.
func NewJSON(o JSONOptions) *JSON {
	p := &JSON{asDeclared: o.AsDeclared, depth: maxDepth}
	if o.MaxDepth > 0 {
		p.depth = int32(min(o.MaxDepth, maxDepthOption))
	}
	p.tooDeep = errTooDeep(p.depth)
	p.encoders.build = p.encoder
	p.decoders.build = p.decoder
	return p
}

var _ HubProtocol = (*JSON)(nil)

// Name returns "json".
func (p *JSON) Name() string { return "json" }

// Binary returns false.
func (p *JSON) Binary() bool { return false }

// Version returns [MaxVersion].
func (p *JSON) Version() int { return MaxVersion }

// Next cuts the first record off buf.
func (p *JSON) Next(buf []byte, limit int) (record, rest []byte, err error) {
	return nextText(buf, 0, limit)
}
