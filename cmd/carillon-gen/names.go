package main

import (
	"cmp"
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"slices"
	"strconv"
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

// enumeration returns the values of the exported constants of a type, as literals of
// TypeScript in the order of declaration. A type with a value that JavaScript does not
// keep exactly is none.
func (s *shapes) enumeration(t *types.Named) (values []string) {
	b, ok := t.Underlying().(*types.Basic)
	if !ok || b.Info()&types.IsComplex != 0 || t.Obj().Pkg() == nil {
		return nil
	}
	scope, spelling := s.contract.complete(t.Obj().Pkg()).Scope(), types.TypeString(t, nil)
	var constants []types.Object
	for _, name := range scope.Names() {
		if c, ok := scope.Lookup(name).(*types.Const); ok && c.Exported() && types.TypeString(c.Type(), nil) == spelling {
			constants = append(constants, c)
		}
	}
	s.contract.sort(constants)
	for _, c := range constants {
		literal, ok := literalOf(c.(*types.Const).Val())
		if !ok {
			return nil
		}
		if !slices.Contains(values, literal) {
			values = append(values, literal)
		}
	}
	return values
}

func literalOf(v constant.Value) (literal string, ok bool) {
	switch v.Kind() {
	case constant.String:
		return quoteTS(constant.StringVal(v)), true
	case constant.Float:
		f, _ := constant.Float64Val(v)
		return strconv.FormatFloat(f, 'g', -1, 64), true
	case constant.Int:
		n, exact := constant.Int64Val(v)
		return v.ExactString(), exact && -1<<53 < n && n < 1<<53
	}
	return v.ExactString(), true
}

// sort puts objects in the order of declaration: those of the contract's package first,
// then by package, file and line. Positions alone do not do that, because files are
// parsed concurrently. The compiled form of other packages knows lines only.
func (c *contract) sort(objects []types.Object) {
	slices.SortStableFunc(objects, func(a, b types.Object) int {
		return cmp.Or(cmp.Compare(c.foreignPath(a), c.foreignPath(b)), comparePositions(c.fset.Position(a.Pos()), c.fset.Position(b.Pos())))
	})
}

// foreignPath returns the path of an object's package, unless it is the contract's own.
func (c *contract) foreignPath(o types.Object) string {
	if o.Pkg() == nil || o.Pkg() == c.pkg {
		return ""
	}
	return o.Pkg().Path()
}

func comparePositions(a, b token.Position) int {
	return cmp.Or(cmp.Compare(a.Filename, b.Filename), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
}
