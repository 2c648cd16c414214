package main

import (
	"bytes"
	"io"
	"unicode"
)

// visible removes control characters from text before it reaches the terminal: servers
// and boxes on the way choose the names, errors and headers that are printed.
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
