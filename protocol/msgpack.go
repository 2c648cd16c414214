package protocol

// MessagePack is the binary encoding of hub messages.
type MessagePack struct{}

// NewMessagePack returns the MessagePack hub protocol.
func NewMessagePack() *MessagePack { return &MessagePack{} }

var _ HubProtocol = (*MessagePack)(nil)

// Name returns "messagepack".
func (p *MessagePack) Name() string { return "messagepack" }

// Binary returns true.
func (p *MessagePack) Binary() bool { return true }

// Version returns [MaxVersion].
func (p *MessagePack) Version() int { return MaxVersion }

func (p *MessagePack) Next(buf []byte, limit int) (record, rest []byte, err error) {
	panic("unwritten")
}
func (p *MessagePack) Parse(record []byte, m *Message) error       { panic("unwritten") }
func (p *MessagePack) Bind(arguments []byte, targets ...any) error { panic("unwritten") }
func (p *MessagePack) Decode(raw []byte, target any) error         { panic("unwritten") }
func (p *MessagePack) AppendInvocation(dst []byte, id, target string, streamIDs []string, args ...any) ([]byte, error) {
	panic("unwritten")
}
func (p *MessagePack) AppendStreamInvocation(dst []byte, id, target string, streamIDs []string, args ...any) ([]byte, error) {
	panic("unwritten")
}
func (p *MessagePack) AppendStreamItem(dst []byte, id string, item any) ([]byte, error) {
	panic("unwritten")
}
func (p *MessagePack) AppendResult(dst []byte, id string, result any) ([]byte, error) {
	panic("unwritten")
}
func (p *MessagePack) AppendVoid(dst []byte, id string) []byte           { panic("unwritten") }
func (p *MessagePack) AppendError(dst []byte, id, message string) []byte { panic("unwritten") }
func (p *MessagePack) AppendCancel(dst []byte, id string) []byte         { panic("unwritten") }
func (p *MessagePack) AppendPing(dst []byte) []byte                      { panic("unwritten") }
func (p *MessagePack) AppendClose(dst []byte, message string, allowReconnect bool) []byte {
	panic("unwritten")
}
func (p *MessagePack) AppendAck(dst []byte, sequenceID int64) []byte      { panic("unwritten") }
func (p *MessagePack) AppendSequence(dst []byte, sequenceID int64) []byte { panic("unwritten") }
