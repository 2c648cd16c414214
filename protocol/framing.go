package protocol

import "bytes"

// recordSeparator ends every JSON record and the handshake.
const recordSeparator = 0x1e

// maxPrefix is the maximum length in bytes of the length prefix of a MessagePack record.
const maxPrefix = 5

// nextText returns the first record of buf that ends in a separator, and the rest.
//
// As in the original, the limit is checked only if no complete record lies within it: a
// record that is too long is a fault as soon as more than limit bytes of it have arrived.
//
// An earlier call has found no separator in the first seen bytes.
func nextText(buf []byte, seen, limit int) (record, rest []byte, err error) {
	window := within(buf, limit)
	seen = min(seen, len(window))
	if i := bytes.IndexByte(window[seen:], recordSeparator); i >= 0 {
		i += seen
		return buf[:i:i], buf[i+1:], nil
	}
	return nil, buf, exceeds(buf, limit)
}

// nextBinary returns the first record of buf with a length prefix (seven bits per byte,
// the least significant first), and the rest.
func nextBinary(buf []byte, limit int) (record, rest []byte, err error) {
	window := within(buf, limit)
	length, n, err := readPrefix(window)
	if err != nil {
		return nil, buf, err
	}
	if n == 0 || len(window)-n < length {
		return nil, buf, exceeds(buf, limit)
	}
	end := n + length
	return buf[n:end:end], buf[end:], nil
}

func within(buf []byte, limit int) []byte {
	if limit > 0 && len(buf) > limit {
		return buf[:limit]
	}
	return buf
}

func exceeds(buf []byte, limit int) error {
	if limit > 0 && len(buf) > limit {
		return tooLarge(limit)
	}
	return nil
}

// readPrefix reads a length prefix of n bytes. n is 0 if the prefix is incomplete.
func readPrefix(buf []byte) (length, n int, err error) {
	for i, b := range buf[:min(len(buf), maxPrefix)] {
		if i == maxPrefix-1 && b > 7 { // only 31 bits are allowed
			return 0, 0, &Fault{Exception: exceptionFormat, Message: "Messages over 2GB in size are not supported."}
		}
		length |= int(b&0x7f) << (7 * i)
		if b < 0x80 {
			return length, i + 1, nil
		}
	}
	return 0, 0, nil
}

func appendPrefix(dst []byte, length int) []byte {
	for length >= 0x80 {
		dst = append(dst, byte(length)|0x80)
		length >>= 7
	}
	return append(dst, byte(length))
}

// openBinary appends room for a length prefix of one byte.
func openBinary(dst []byte) []byte { return append(dst, 0) }

// closeBinary writes the prefix of the record that openBinary began at dst[start:]. It
// moves the record if the prefix needs more than one byte.
func closeBinary(dst []byte, start int) []byte {
	length := len(dst) - start - 1
	if length < 0x80 {
		dst[start] = byte(length)
		return dst
	}
	var room [maxPrefix]byte
	prefix := appendPrefix(room[:0], length)
	dst = append(dst, prefix[1:]...) // only to grow: the bytes are overwritten
	copy(dst[start+len(prefix):], dst[start+1:start+1+length])
	copy(dst[start:], prefix)
	return dst
}
