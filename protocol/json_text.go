package protocol

import (
	"bytes"
	"cmp"
	"unicode/utf8"
)

// textError reports that the inside of a string is not valid text: .NET's
// InvalidOperationException.
type textError string

func (e textError) Error() string { return string(e) }

const (
	errNotUTF8   textError = "Cannot transcode invalid UTF-8 JSON text to UTF-16 string."
	errSurrogate textError = "Cannot read incomplete UTF-16 JSON text as string with missing low surrogate."
)

// checkText returns an error if the inside of a string without escapes is not UTF-8.
func checkText(inside []byte) error {
	if !utf8.Valid(inside) {
		return errNotUTF8
	}
	return nil
}

// unescape decodes the inside of a string, as returned by text, to UTF-8.
func unescape(inside []byte) ([]byte, error) {
	if err := checkText(inside); err != nil {
		return nil, err
	}
	plain := make([]byte, 0, len(inside))
	for {
		i := bytes.IndexByte(inside, '\\')
		if i < 0 {
			return append(plain, inside...), nil
		}
		plain = append(plain, inside[:i]...)
		c := inside[i+1]
		inside = inside[i+2:]
		if c != 'u' {
			plain = append(plain, cmp.Or(unescaped[c], c))
			continue
		}
		r, n := escapedRune(inside)
		if r < 0 {
			return nil, errSurrogate
		}
		plain = utf8.AppendRune(plain, r)
		inside = inside[n:]
	}
}

// unescaped are the characters for the letters after a backslash. Others stand for themselves.
var unescaped = [256]byte{'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escapedRune decodes the digits after a \u, and a second surrogate. It returns -1 for a
// lone surrogate.
func escapedRune(b []byte) (r rune, n int) {
	r = hex4(b)
	if r < 0xd800 || r > 0xdfff {
		return r, 4
	}
	if r < 0xdc00 && len(b) >= 10 && b[4] == '\\' && b[5] == 'u' {
		if low := hex4(b[6:]); low >= 0xdc00 && low <= 0xdfff {
			return 0x10000 + (r-0xd800)<<10 + low - 0xdc00, 10
		}
	}
	return -1, 4
}

// hex4 decodes four digits that escape has checked.
func hex4(b []byte) (r rune) {
	for _, c := range b[:4] {
		d, _ := hexDigit(c)
		r = r<<4 | rune(d)
	}
	return r
}
