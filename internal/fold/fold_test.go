package fold

import (
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestEqual(t *testing.T) {
	for _, c := range []struct {
		a, b  string
		equal bool
	}{
		{"", "", true}, {"Text", "tEXT", true}, {"Text", "Texts", false}, {"a", "", false}, {"[", "{", false}, {"@", "`", false},
		{"Straße", "STRAßE", true}, {"ÄÖü", "äöÜ", true}, {"ωΣ", "Ωσ", true}, {"σ", "ς", true}, {"Ж", "ж", true},
		{"\u017fend", "send", false}, {"\u212aick", "kick", false}, {"\u0131d", "id", false}, {"\u0130d", "id", false}, {"\u017fend", "\u017fEND", true},
		{"a\xff", "A\xff", true}, {"a\xff", "a", false}, {"aé", "ae", false},
	} {
		if Equal(c.a, c.b) != c.equal || Equal(c.b, c.a) != c.equal || (Upper(c.a) == Upper(c.b)) != c.equal {
			t.Errorf("%q and %q: %v", c.a, c.b, !c.equal)
		}
	}
}

// No letter of ASCII has an equal outside ASCII, as in .NET.
func TestASCIIAlone(t *testing.T) {
	for r := rune(utf8.RuneSelf); r <= unicode.MaxRune; r++ {
		if upper(r) < utf8.RuneSelf {
			t.Errorf("U+%04X becomes %c", r, upper(r))
		}
	}
}
