package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/token"
)

// faults collects the errors in the interfaces.
type faults struct {
	fset *token.FileSet
	all  []error
}

func (f *faults) add(pos token.Pos, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if pos.IsValid() {
		text = fmt.Sprintf("%s: %s", f.fset.Position(pos), text)
	}
	f.all = append(f.all, errors.New(text))
}

// warn adds a warning.
func (c *contract) warn(pos token.Pos, format string, args ...any) {
	c.warnings = append(c.warnings, fmt.Sprintf("%s: %s", c.fset.Position(pos), fmt.Sprintf(format, args...)))
}

// brokenLines returns the compiler's first error in each line.
func (c *contract) brokenLines() map[line]string {
	broken := map[line]string{}
	for _, err := range c.loaded.TypeErrors {
		at := err.Fset.Position(err.Pos)
		if l := (line{at.Filename, at.Line}); broken[l] == "" {
			broken[l] = err.Msg
		}
	}
	return broken
}

// reason returns the compiler's error in the line of pos.
func (c *contract) reason(pos token.Pos) string {
	at := c.fset.Position(pos)
	return cmp.Or(c.broken[line{at.Filename, at.Line}], "its type is not known")
}
