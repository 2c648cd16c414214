package main

import (
	"cmp"
	"go/token"
	"go/types"
	"slices"
)

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
