package protocol

import "bytes"

// recordSeparator ends every JSON record, the handshake's too.
const recordSeparator = 0x1e

// maxPrefix is the most bytes that the length prefix of a MessagePack record may have.
const maxPrefix = 5

// nextText cuts the first record that ends in a separator off buf.
//
// As in the original the limit is looked at only when a record is not whole within it: a record that is too long is a fault
// as soon as more than limit bytes of it are there.
//
// In the first seen bytes there is no separator, as an earlier call found.
func nextText(buf []byte, seen, limit int) (record, rest []byte, err error) {
	window := within(buf, limit)
	seen = min(seen, len(window))
	if i := bytes.IndexByte(window[seen:], recordSeparator); i >= 0 {
		i += seen
		return buf[:i:i], buf[i+1:], nil
	}
	return nil, buf, exceeds(buf, limit)
}

// NextAfter is p.Next for a receiver that gets a record in many pieces: in the first seen bytes of buf an earlier call has
// found no whole record. Protocols of this package do not look at them again, so that the work is linear in the length of the
// record. A protocol of another package looks at all of buf.
func NextAfter(p HubProtocol, buf []byte, seen, limit int) (record, rest []byte, err error) {
	if _, ok := p.(*JSON); ok {
		return nextText(buf, seen, limit)
	}
	return p.Next(buf, limit) // of MessagePack this is the length prefix
}

// nextBinary cuts the first record with a length prefix (seven bits a byte, least significant first) off buf.
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

// readPrefix reads a length prefix of n bytes; n is 0 if it is not whole.
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

// openBinary leaves room for a length prefix of one byte at the end of dst.
func openBinary(dst []byte) []byte { return append(dst, 0) }

// closeBinary fills in the prefix of the record that was opened when dst had start bytes, and moves a record that needs a longer one.
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
