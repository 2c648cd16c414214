package protocol

// HandshakeRequest is the first record on a connection, from the client.
type HandshakeRequest struct {
	Protocol string // name of a hub protocol, without regard to case
	Version  int
}

// NextHandshake cuts the first whole record off buf and returns what follows it, which is hub messages. A nil record without an
// error means that more data is needed. limit is the largest record in bytes with its separator; 0 or less: none.
func NextHandshake(buf []byte, limit int) (record, rest []byte, err error) { panic("unwritten") }

// ParseHandshakeRequest reads a request. The error is a [*Fault].
func ParseHandshakeRequest(record []byte) (HandshakeRequest, error) { panic("unwritten") }

// AppendHandshakeRequest appends a request with its separator.
func AppendHandshakeRequest(dst []byte, r HandshakeRequest) []byte { panic("unwritten") }

// AppendHandshakeResponse appends an answer with its separator: a refusal, or with an empty errorText the consent.
func AppendHandshakeResponse(dst []byte, errorText string) []byte { panic("unwritten") }

// ParseHandshakeResponse reads an answer. errorText is that of a refusal. The error, a [*Fault], says that it is no answer.
func ParseHandshakeResponse(record []byte) (errorText string, err error) { panic("unwritten") }
