package main

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
)

// checkGenerated returns an error for each name of the generated file that the package
// declares elsewhere, too.
func (c *contract) checkGenerated(code file) error {
	generated, err := parser.ParseFile(token.NewFileSet(), code.path, code.content, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, name := range declared(generated) {
		names[name.Name] = true
	}
	faults := &faults{fset: c.fset}
	for _, f := range c.loaded.Syntax {
		if filepath.Base(c.fset.Position(f.Package).Filename) == filepath.Base(code.path) {
			continue
		}
		for _, name := range declared(f) {
			if names[name.Name] {
				faults.add(name.Pos(), "%s is declared in %s, too; choose another name for it, and for each hub of a package a client interface of its own", name.Name, filepath.Base(code.path))
			}
		}
	}
	return errors.Join(faults.all...)
}

// declared returns the names that a file declares in its package.
func declared(f *ast.File) (names []*ast.Ident) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				names = append(names, d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					names = append(names, spec.Name)
				case *ast.ValueSpec:
					names = append(names, spec.Names...)
				}
			}
		}
	}
	return slices.DeleteFunc(names, func(n *ast.Ident) bool { return n.Name == "_" || n.Name == "init" })
}
