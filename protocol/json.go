package protocol

// JSONOptions are the options of [JSON]. The zero value is SignalR's default.
type JSONOptions struct {
	AsDeclared bool // untagged struct fields keep their names instead of becoming camelCase. Default false
}

// JSON is the text encoding of hub messages, spelled as System.Text.Json spells it.
type JSON struct{ options JSONOptions }

// NewJSON returns the JSON hub protocol.
func NewJSON(o JSONOptions) *JSON { return &JSON{options: o} }

var _ HubProtocol = (*JSON)(nil)

// Name returns "json".
func (p *JSON) Name() string { return "json" }

// Binary returns false.
func (p *JSON) Binary() bool { return false }

// Version returns [MaxVersion].
func (p *JSON) Version() int { return MaxVersion }

func (p *JSON) Next(buf []byte, limit int) (record, rest []byte, err error) { panic("unwritten") }
func (p *JSON) Parse(record []byte, m *Message) error                       { panic("unwritten") }
func (p *JSON) Bind(arguments []byte, targets ...any) error                 { panic("unwritten") }
func (p *JSON) Decode(raw []byte, target any) error                         { panic("unwritten") }
func (p *JSON) AppendInvocation(dst []byte, id, target string, streamIDs []string, args ...any) ([]byte, error) {
	panic("unwritten")
}
func (p *JSON) AppendStreamInvocation(dst []byte, id, target string, streamIDs []string, args ...any) ([]byte, error) {
	panic("unwritten")
}
func (p *JSON) AppendStreamItem(dst []byte, id string, item any) ([]byte, error) { panic("unwritten") }
func (p *JSON) AppendResult(dst []byte, id string, result any) ([]byte, error)   { panic("unwritten") }
func (p *JSON) AppendVoid(dst []byte, id string) []byte                          { panic("unwritten") }
func (p *JSON) AppendError(dst []byte, id, message string) []byte                { panic("unwritten") }
func (p *JSON) AppendCancel(dst []byte, id string) []byte                        { panic("unwritten") }
func (p *JSON) AppendPing(dst []byte) []byte                                     { panic("unwritten") }
func (p *JSON) AppendClose(dst []byte, message string, allowReconnect bool) []byte {
	panic("unwritten")
}
func (p *JSON) AppendAck(dst []byte, sequenceID int64) []byte      { panic("unwritten") }
func (p *JSON) AppendSequence(dst []byte, sequenceID int64) []byte { panic("unwritten") }
