package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/token"
	"go/types"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// The most parameters of a method, and of a method that streams its result: the hub has
// no functions for more.
const (
	maxParams       = 6
	maxStreamParams = 4
)

// contract is the content of two interfaces.
type contract struct {
	pkg      *types.Package
	loaded   *packages.Package
	fset     *token.FileSet
	hub      string
	client   string
	invoked  []method // by clients
	received []method // by clients
	shapes   *shapes
	broken   map[line]string           // the compiler's errors
	others   map[string]*types.Package // by path: packages that were loaded for their constants
	warnings []string
}

// method is a method of one of the interfaces.
type method struct {
	name   string // in Go
	wire   string // the name on the wire
	doc    string
	pos    token.Pos
	params []param
	result types.Type // nil: none
	stream bool       // the result is a stream of items of the type result
	// shape is result's; nil: none.
	shape *shape
}

// param is a parameter after the context.
type param struct {
	name   string
	typ    types.Type // of an item, if it is a stream
	stream bool       // an upload
	shape  *shape
}

// load reads the interfaces from the package in s.dir. All faults that it finds are in
// the error, each with its position.
func load(s settings) (*contract, error) {
	pkg, err := loadPackage(s.dir)
	if err != nil {
		return nil, err
	}
	c := &contract{pkg: pkg.Types, loaded: pkg, fset: pkg.Fset, hub: s.hub, client: s.client, others: map[string]*types.Package{}}
	c.shapes = newShapes(c, s)
	c.broken = c.brokenLines()
	docs := &docs{fset: pkg.Fset, found: map[line]string{}, read: map[string]bool{}}
	faults := &faults{fset: pkg.Fset}
	c.invoked = c.methods(s.hub, docs, faults)
	c.received = c.methods(s.client, docs, faults)
	for _, m := range c.received {
		if m.stream || m.uploads() {
			faults.add(m.pos, "%s: a client cannot take or answer with a stream", m.name)
		}
		// The client looks names up, in small letters, in an object with these members.
		if slices.Contains([]string{"constructor", "__proto__"}, strings.ToLower(m.wire)) {
			faults.add(m.pos, "%s: the official JavaScript client cannot receive a method of this name; give it another one by //carillon:name", m.name)
		}
	}
	return c, errors.Join(faults.all...)
}

// loadPackage loads a package. The types of other packages come from their compiled form.
// If one of them does not compile, because its generated code is out of date, the source
// of all is read, which takes longer.
func loadPackage(dir string) (*packages.Package, error) {
	mode := packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedImports
	for {
		all, err := packages.Load(&packages.Config{Dir: dir, Mode: mode}, ".")
		if err != nil {
			return nil, err
		}
		if len(all) != 1 || len(all[0].Syntax) == 0 {
			return nil, fmt.Errorf("no Go package in %s", dir)
		}
		// Errors are expected: code that uses the generated names does not compile yet. A
		// type that is needed and does not exist is found when it is looked at.
		isMissing := func(err types.Error) bool { return strings.HasPrefix(err.Msg, "could not import") }
		if mode&packages.NeedDeps != 0 || !slices.ContainsFunc(all[0].TypeErrors, isMissing) {
			return all[0], nil
		}
		mode |= packages.NeedDeps
	}
}

// complete returns a package with all its declarations. Of a package that the contract's
// package does not import itself, only the declarations that other packages need are loaded.
func (c *contract) complete(pkg *types.Package) *types.Package {
	if pkg.Complete() {
		return pkg
	}
	if c.others[pkg.Path()] == nil {
		c.others[pkg.Path()] = pkg
		mode := packages.NeedName | packages.NeedTypes | packages.NeedImports
		all, err := packages.Load(&packages.Config{Dir: c.loaded.Dir, Mode: mode, Fset: c.fset}, pkg.Path())
		if err == nil && len(all) == 1 && all[0].Types != nil {
			c.others[pkg.Path()] = all[0].Types
		}
	}
	return c.others[pkg.Path()]
}

// methods returns the methods of an interface, in the order of declaration.
func (c *contract) methods(name string, docs *docs, faults *faults) []method {
	named, ok := c.pkg.Scope().Lookup(name).(*types.TypeName)
	if !ok {
		faults.add(token.NoPos, "package %s in %s has no interface %s", c.pkg.Name(), c.loaded.Dir, name)
		return nil
	}
	i, ok := named.Type().Underlying().(*types.Interface)
	switch {
	case !ok || !i.IsMethodSet():
		faults.add(named.Pos(), "%s is not an interface of methods", name)
		return nil
	case isGeneric(named.Type()):
		faults.add(named.Pos(), "%s has type parameters; name an interface that embeds it with arguments", name)
		return nil
	}
	for embedded := range i.EmbeddedTypes() {
		if hasInvalid(embedded) {
			faults.add(named.Pos(), "%s embeds an interface that does not compile", name)
			return nil
		}
	}
	functions := make([]types.Object, 0, i.NumMethods())
	for f := range i.Methods() {
		functions = append(functions, f)
	}
	c.sort(functions)
	all := make([]method, len(functions))
	for n, f := range functions {
		all[n] = c.method(f.(*types.Func), docs, faults)
	}
	checkNames(all, faults)
	return all
}

// hasInvalid reports whether a type is not known, or embeds one.
func hasInvalid(t types.Type) bool {
	switch u := t.Underlying().(type) {
	case *types.Basic:
		return u.Kind() == types.Invalid
	case *types.Interface:
		for embedded := range u.EmbeddedTypes() {
			if hasInvalid(embedded) {
				return true
			}
		}
	}
	return false
}

// isGeneric reports whether a type has parameters without arguments.
func isGeneric(t types.Type) bool {
	g, ok := t.(interface {
		TypeParams() *types.TypeParamList
		TypeArgs() *types.TypeList
	})
	return ok && g.TypeParams().Len() > g.TypeArgs().Len()
}

func (c *contract) method(f *types.Func, docs *docs, faults *faults) method {
	m := method{name: f.Name(), wire: f.Name(), doc: docs.of(f), pos: f.Pos()}
	if as := wireName.FindStringSubmatch(m.doc); as != nil {
		m.wire, m.doc = as[1], strings.Replace(m.doc, as[0], "", 1)
	}
	if other := otherDirective.FindString(m.doc); other != "" {
		faults.add(m.pos, "%s: %q is no directive; there is //carillon:name NAME", m.name, other)
	}
	if !f.Exported() {
		faults.add(m.pos, "%s is not exported; a name on the wire with a small letter is given by //carillon:name", m.name)
	}
	c.signature(&m, f.Signature(), faults)
	return m
}

// checkNames adds a fault for two methods with one name, on the wire or in TypeScript.
func checkNames(all []method, faults *faults) {
	wires, names := map[string]string{}, map[string]string{}
	for _, m := range all {
		wire := strings.ToLower(m.wire)
		if other, ok := wires[wire]; ok {
			faults.add(m.pos, "%s: %s has the name %q on the wire, too; names are compared without case", m.name, other, m.wire)
		} else if other, ok := names[tsMethod(m)]; ok {
			faults.add(m.pos, "%s: %s has the name %q in TypeScript, too", m.name, other, tsMethod(m))
		}
		wires[wire], names[tsMethod(m)] = m.name, m.name
	}
}

// signature reads the parameters and results of a method.
func (c *contract) signature(m *method, s *types.Signature, faults *faults) {
	if s.Variadic() {
		faults.add(m.pos, "%s: a variadic parameter has no equivalent on the wire; take a slice", m.name)
		return
	}
	c.parameters(m, s.Params(), faults)
	c.results(m, s.Results(), faults)
	if most := m.mostParams(); len(m.params) > most {
		faults.add(m.pos, "%s has %d parameters; %d are possible; pass a struct", m.name, len(m.params), most)
	}
}

func (m *method) mostParams() int {
	if m.stream {
		return maxStreamParams
	}
	return maxParams
}

func (c *contract) parameters(m *method, params *types.Tuple, faults *faults) {
	if params.Len() == 0 || spelling(params.At(0)) != "context.Context" {
		faults.add(m.pos, "%s: the first parameter must be a context.Context", m.name)
		return
	}
	for i := 1; i < params.Len(); i++ {
		v := params.At(i)
		p := param{name: v.Name(), typ: v.Type()}
		if item, ok := streamOf(v.Type()); ok {
			p.typ, p.stream = item, true
		}
		p.shape = c.wireShape(p.typ, place{v.Pos(), fmt.Sprintf("%s: parameter %s", m.name, v.Name())}, faults)
		m.params = append(m.params, p)
	}
}

func spelling(v *types.Var) string { return types.TypeString(types.Unalias(v.Type()), nil) }

func (c *contract) results(m *method, results *types.Tuple, faults *faults) {
	if n := results.Len(); n < 1 || n > 2 || spelling(results.At(n-1)) != "error" {
		faults.add(m.pos, "%s: the results must be (error) or (T, error)", m.name)
		return
	}
	if results.Len() == 1 {
		return
	}
	m.result = results.At(0).Type()
	if item, ok := streamOf(m.result); ok {
		m.result, m.stream = item, true
	}
	m.shape = c.wireShape(m.result, place{m.pos, m.name + ": result"}, faults)
}

// wireShape returns the shape of a parameter or a result.
func (c *contract) wireShape(t types.Type, at place, faults *faults) *shape {
	if hidden := c.hiddenType(t); hidden != nil {
		faults.add(at.pos, "%s: package %s has no access to the type %s", at.at, c.pkg.Name(), hidden)
		return nil
	}
	s := c.shapes.of(t, at, faults)
	if s != nil && s.isLong() {
		c.warn(at.pos, "%s has 64 bits, and JavaScript's numbers are exact up to 2^53", at.at)
	}
	return s
}

// hiddenType returns a type within t that generated code cannot name, because another
// package does not export it.
func (c *contract) hiddenType(t types.Type) types.Type {
	switch t := types.Unalias(t).(type) {
	case *types.Named:
		if pkg := t.Obj().Pkg(); pkg != nil && pkg != c.pkg && !t.Obj().Exported() {
			return t
		}
		for arg := range t.TypeArgs().Types() {
			if hidden := c.hiddenType(arg); hidden != nil {
				return hidden
			}
		}
	case *types.Map:
		return cmp.Or(c.hiddenType(t.Key()), c.hiddenType(t.Elem()))
	case interface{ Elem() types.Type }:
		return c.hiddenType(t.Elem())
	}
	return nil
}

// streamOf returns the type of an item if t is iter.Seq2[T, error].
func streamOf(t types.Type) (item types.Type, ok bool) {
	named, ok := types.Unalias(t).(*types.Named)
	if !ok || named.Obj().Pkg() == nil || named.Obj().Pkg().Path() != "iter" || named.Obj().Name() != "Seq2" {
		return nil, false
	}
	if types.TypeString(named.TypeArgs().At(1), nil) != "error" {
		return nil, false
	}
	return named.TypeArgs().At(0), true
}

func (m *method) uploads() bool {
	for _, p := range m.params {
		if p.stream {
			return true
		}
	}
	return false
}
