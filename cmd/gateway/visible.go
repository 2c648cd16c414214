package main

import (
	"bytes"
	"io"
	"unicode"
)

// visible passes text on without what does something to a terminal: names, errors and
// headers are printed as servers and boxes on the way have sent them.
type visible struct{ io.Writer }

func (v visible) Write(text []byte) (int, error) {
	harmless := func(c rune) rune {
		if unicode.IsControl(c) && c != '\n' && c != '\t' {
			return unicode.ReplacementChar
		}
		return c
	}
	if _, err := v.Writer.Write(bytes.Map(harmless, text)); err != nil {
		return 0, err
	}
	return len(text), nil
}
