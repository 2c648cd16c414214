package protocol

import "unicode/utf8"

// verbatim are the ASCII bytes that System.Text.Json does not escape within a string.
var verbatim = func() (t [256]bool) {
	for c := byte(' '); c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// escaped has a bit for each code point of the basic plane that must be escaped. It is a
// faster form of escapedRanges.
var escaped = func() *[1 << 16 / 64]uint64 {
	t := new([1 << 16 / 64]uint64)
	for _, span := range escapedRanges {
		for c := int(span[0]); c <= int(span[1]); c++ {
			t[c/64] |= 1 << (c % 64)
		}
	}
	return t
}()

func mustEscape(r rune) bool { return r > 0xffff || escaped[r/64]>>(r%64)&1 != 0 }

// appendJSONString appends s in quotes, with the relaxed escapes of System.Text.Json.
// Bytes that are not UTF-8 become U+FFFD, which is escaped, as .NET does with a lone
// surrogate.
func appendJSONString[S string | []byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		if verbatim[s[i]] {
			i++
			continue
		}
		r, size := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, size = decodeRune(s[i:])
			if !mustEscape(r) && (r != utf8.RuneError || size > 1) {
				i += size
				continue
			}
		}
		dst = append(dst, s[start:i]...)
		dst = appendEscaped(dst, r)
		i += size
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func decodeRune[S string | []byte](s S) (rune, int) {
	// The conversions do not allocate: the result does not escape and has at most four
	// bytes.
	return utf8.DecodeRuneInString(string(s[:min(len(s), utf8.UTFMax)]))
}

// shortEscapes are the characters after a backslash that stand for others.
var shortEscapes = [utf8.RuneSelf]byte{'"': '"', '\\': '\\', '\b': 'b', '\t': 't', '\n': 'n', '\f': 'f', '\r': 'r'}

func appendEscaped(dst []byte, r rune) []byte {
	if r < utf8.RuneSelf && shortEscapes[r] != 0 {
		return append(dst, '\\', shortEscapes[r])
	}
	if r > 0xffff {
		r -= 0x10000
		dst = appendHex4(dst, 0xd800+r>>10)
		r = 0xdc00 + r&0x3ff
	}
	return appendHex4(dst, r)
}

func appendHex4(dst []byte, r rune) []byte {
	const digits = "0123456789ABCDEF"
	return append(dst, '\\', 'u', digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
