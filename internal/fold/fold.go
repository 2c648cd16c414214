// Package fold compares text without regard to case as .NET's StringComparison.OrdinalIgnoreCase does: letters of ASCII are equal to
// letters of ASCII alone. [strings.EqualFold] takes U+017F for an s and U+212A for a k, and [strings.ToUpper] makes an I of U+0131.
package fold

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Equal reports whether a and b differ in nothing but case.
func Equal(a, b string) bool {
	for i := 0; ; i++ {
		switch {
		case i == len(a) || i == len(b):
			return len(a) == len(b)
		case a[i] >= utf8.RuneSelf || b[i] >= utf8.RuneSelf:
			return Upper(a[i:]) == Upper(b[i:])
		case a[i] != b[i] && upper(rune(a[i])) != upper(rune(b[i])):
			return false
		}
	}
}

// Upper returns s in upper case. Texts that are Equal have the same.
func Upper(s string) string { return strings.Map(upper, s) }

func upper(r rune) rune {
	const dotlessI, longS = '\u0131', '\u017f' // their capitals are in ASCII
	switch {
	case 'a' <= r && r <= 'z':
		return r - 'a' + 'A'
	case r < utf8.RuneSelf || r == dotlessI || r == longS:
		return r
	}
	return unicode.ToUpper(r)
}
