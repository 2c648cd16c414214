package main

import (
	"go/constant"
	"go/types"
	"slices"
	"strconv"
)

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
