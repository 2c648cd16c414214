package serviceprotocol

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/tinylib/msgp/msgp"

	"github.com/carillon-go/carillon/internal/packread"
)

// ErrMalformed is the error of a message that cannot be understood.
var ErrMalformed = errors.New("serviceprotocol: malformed message")

// Parse parses a message without its length. Data and the Payloads are part of record. known
// reports false for a type that this package does not know; then only the Type is set.
func Parse(record []byte, m *Message) (known bool, err error) {
	*m = Message{TTL: -1}
	r := packread.Reader{Data: record}
	items := r.Array(1)
	m.Type = Type(r.Int(math.MinInt32, math.MaxInt32))
	switch l, known := layouts[m.Type]; {
	case r.Failed:
		return false, ErrMalformed
	case m.Type == Ping:
		for range items - 1 {
			if m.Pairs = append(m.Pairs, r.Text()); r.Failed {
				return true, ErrMalformed
			}
		}
		return true, nil
	case !known:
		return false, nil
	case items-1 < l.optional:
		return true, ErrMalformed
	default:
		for _, f := range l.fields[:min(len(l.fields), items-1)] {
			f.read(&r, m)
		}
	}
	if r.Failed {
		return true, ErrMalformed
	}
	return true, nil
}

// Append appends a message with its length.
func Append(dst []byte, m *Message) []byte {
	start := len(dst)
	dst = appendBody(dst, m)
	var length [binary.MaxVarintLen64]byte
	return slices.Insert(dst, start, binary.AppendUvarint(length[:0], uint64(len(dst)-start))...)
}

func appendBody(dst []byte, m *Message) []byte {
	if m.Type == Ping {
		dst = msgp.AppendInt(msgp.AppendArrayHeader(dst, uint32(1+len(m.Pairs))), int(Ping))
		for _, s := range m.Pairs {
			dst = msgp.AppendString(dst, s)
		}
		return dst
	}
	fields := layouts[m.Type].fields
	if m.Type == Ack && m.Data == nil { // only a list of members has more
		fields = fields[:4]
	}
	dst = msgp.AppendInt(msgp.AppendArrayHeader(dst, uint32(1+len(fields))), int(m.Type))
	for _, f := range fields {
		dst = f.append(dst, m)
	}
	return dst
}
