package protocol

import (
	"encoding/hex"
	"errors"
)

// Guid is .NET's Guid, in the order of its text: "00010203-0405-0607-0706-050403020100"
// is {0, 1, 2, 3, …}. Both hub protocols encode it as text.
type Guid [16]byte

// String returns the text with four hyphens, in lower case.
func (g Guid) String() string {
	text, _ := g.AppendText(nil)
	return string(text)
}

// AppendText implements [encoding.TextAppender].
func (g Guid) AppendText(b []byte) ([]byte, error) {
	for i, part := range [][]byte{g[:4], g[4:6], g[6:8], g[8:10], g[10:]} {
		if i > 0 {
			b = append(b, '-')
		}
		b = hex.AppendEncode(b, part)
	}
	return b, nil
}

// MarshalText implements [encoding.TextMarshaler].
func (g Guid) MarshalText() ([]byte, error) { return g.AppendText(make([]byte, 0, 36)) }

// UnmarshalText parses the text with four hyphens, in any case. Like System.Text.Json it
// accepts no other form.
func (g *Guid) UnmarshalText(text []byte) error {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return errNoGUID
	}
	var read Guid
	n := 0
	for _, part := range [][]byte{text[:8], text[9:13], text[14:18], text[19:23], text[24:]} {
		decoded, err := hex.Decode(read[n:], part)
		if err != nil {
			return errNoGUID
		}
		n += decoded
	}
	*g = read
	return nil
}

var errNoGUID = errors.New("protocol: the text is not a Guid")
