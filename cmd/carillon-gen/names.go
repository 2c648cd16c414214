package main

import (
	"fmt"
	"go/types"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// globals are the names that a TypeScript file uses.
var globals = strings.Fields(`Array AsyncGenerator AsyncIterable Boolean Date Error Function HubConnection IStreamResult Iterable Map Number
Object Observer Promise Record Set String Symbol Uint8Array`)

// freeName returns the name of a type in TypeScript and in the contract: its own, with
// the arguments of a generic type. It begins with the name of the type's package if the
// file or the contract's package uses the short name for something else.
func (s *shapes) freeName(t *types.Named) string {
	name := upperFirst(t.Obj().Name())
	for arg := range t.TypeArgs().Types() {
		name += upperFirst(identifier(types.TypeString(arg, func(*types.Package) string { return "" })))
	}
	if pkg := t.Obj().Pkg(); pkg != nil && (s.isTaken(name) || pkg != s.contract.pkg && s.contract.pkg.Scope().Lookup(name) != nil) {
		name = upperFirst(pkg.Name()) + name
	}
	for i, base := 2, name; s.isTaken(name); i++ {
		name = fmt.Sprint(base, i)
	}
	return name
}

func (s *shapes) isTaken(name string) bool {
	return s.defined[name] != nil || name == s.contract.hub || name == s.contract.client || slices.Contains(globals, name)
}

// identifier leaves out the characters that an identifier cannot contain.
func identifier(text string) string {
	var b strings.Builder
	up := false
	for _, r := range text {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			up = true
		case up:
			b.WriteRune(unicode.ToUpper(r))
			up = false
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func upperFirst(s string) string { return changeFirst(s, unicode.ToUpper) }
func lowerFirst(s string) string { return changeFirst(s, unicode.ToLower) }

func changeFirst(s string, change func(rune) rune) string {
	r, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return s
	}
	return string(change(r)) + s[size:]
}
