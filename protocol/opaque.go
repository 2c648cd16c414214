package protocol

import "errors"

// NewOpaque returns a hub protocol whose messages are not understood: only whole messages that an
// application has encoded can be sent in it. Pings are those of MessagePack if isPack is set, and
// otherwise empty. Close messages are empty, and everything else fails.
func NewOpaque(name string, isPack bool) HubProtocol { return &opaque{name: name, isPack: isPack} }

type opaque struct {
	MessagePack
	name   string
	isPack bool
}

// errOpaque is the error of everything that needs to understand a message.
var errOpaque = errors.New("protocol: the messages of this hub protocol are not understood")

func (p *opaque) Name() string                               { return p.name }
func (p *opaque) Parse([]byte, *Message) error               { return errOpaque }
func (p *opaque) Bind([]byte, ...any) error                  { return errOpaque }
func (p *opaque) Decode(_ []byte, _ any) error               { return errOpaque }
func (p *opaque) AppendError(dst []byte, _, _ string) []byte { return dst }

func (p *opaque) AppendInvocation(dst []byte, _, _ string, _ map[string]string, _ []string, _ ...any) ([]byte, error) {
	return dst, errOpaque
}

func (p *opaque) AppendPing(dst []byte) []byte {
	if p.isPack {
		return p.MessagePack.AppendPing(dst)
	}
	return dst
}

func (p *opaque) AppendClose(dst []byte, _ string, _ bool) []byte { return dst }
