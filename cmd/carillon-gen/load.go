package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"regexp"
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
	fset     *token.FileSet
	hub      string
	client   string
	invoked  []method // by clients
	received []method // by clients
	shapes   *shapes
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
	c := &contract{pkg: pkg.Types, fset: pkg.Fset, hub: s.hub, client: s.client}
	c.shapes = newShapes(c)
	docs := methodDocs(pkg)
	faults := &faults{fset: pkg.Fset}
	c.invoked = c.methods(s.hub, docs, faults)
	c.received = c.methods(s.client, docs, faults)
	for _, m := range c.received {
		if m.stream || m.uploads() {
			faults.add(m.pos, "%s: a client cannot take or answer with a stream", m.name)
		}
	}
	if err := errors.Join(faults.all...); err != nil {
		return nil, err
	}
	return c, nil
}

func loadPackage(dir string) (*packages.Package, error) {
	const mode = packages.NeedName | packages.NeedFiles | packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo | packages.NeedImports
	all, err := packages.Load(&packages.Config{Dir: dir, Mode: mode}, ".")
	if err != nil {
		return nil, err
	}
	if len(all) != 1 || all[0].Types == nil {
		return nil, fmt.Errorf("no Go package in %s", dir)
	}
	// Errors are expected: code that uses the generated names does not compile yet. A
	// type that is needed and does not exist is found when it is looked at.
	return all[0], nil
}

// faults collects the errors in the interfaces.
type faults struct {
	fset *token.FileSet
	all  []error
}

func (f *faults) add(pos token.Pos, format string, args ...any) {
	f.all = append(f.all, fmt.Errorf("%s: %s", f.fset.Position(pos), fmt.Sprintf(format, args...)))
}

// methodDocs returns the comments of the methods of all interfaces, by the position of
// the name.
func methodDocs(pkg *packages.Package) map[token.Pos]string {
	docs := map[token.Pos]string{}
	for _, f := range pkg.Syntax {
		ast.Inspect(f, func(n ast.Node) bool {
			i, ok := n.(*ast.InterfaceType)
			if !ok {
				return true
			}
			for _, m := range i.Methods.List {
				for _, name := range m.Names {
					docs[name.Pos()] = directives(m.Doc) + m.Doc.Text()
				}
			}
			return true
		})
	}
	return docs
}

// directives returns the lines of a comment that CommentGroup.Text leaves out.
func directives(doc *ast.CommentGroup) string {
	if doc == nil {
		return ""
	}
	var all strings.Builder
	for _, c := range doc.List {
		if strings.HasPrefix(c.Text, "//carillon:") {
			all.WriteString(c.Text + "\n")
		}
	}
	return all.String()
}

var wireName = regexp.MustCompile(`(?m)^//carillon:name[ \t]+(\S+)[ \t]*\n`)

func (c *contract) methods(name string, docs map[token.Pos]string, faults *faults) []method {
	named, ok := c.pkg.Scope().Lookup(name).(*types.TypeName)
	if !ok {
		faults.add(token.NoPos, "package %s has no interface %s", c.pkg.Name(), name)
		return nil
	}
	i, ok := named.Type().Underlying().(*types.Interface)
	if !ok {
		faults.add(named.Pos(), "%s is not an interface", name)
		return nil
	}
	var all []method
	wires := map[string]string{}
	for f := range i.Methods() {
		m := method{name: f.Name(), wire: f.Name(), doc: docs[f.Pos()], pos: f.Pos()}
		if as := wireName.FindStringSubmatch(m.doc); as != nil {
			m.wire, m.doc = as[1], strings.Replace(m.doc, as[0], "", 1)
		}
		if other, ok := wires[strings.ToLower(m.wire)]; ok {
			faults.add(m.pos, "%s: %s has the name %q on the wire, too; names are compared without case", m.name, other, m.wire)
		}
		wires[strings.ToLower(m.wire)] = m.name
		c.signature(&m, f.Signature(), faults)
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b method) int { return cmp.Compare(a.pos, b.pos) })
	return all
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
	if params.Len() == 0 || types.TypeString(params.At(0).Type(), nil) != "context.Context" {
		faults.add(m.pos, "%s: the first parameter must be a context.Context", m.name)
		return
	}
	for i := 1; i < params.Len(); i++ {
		v := params.At(i)
		p := param{name: v.Name(), typ: v.Type()}
		if item, ok := streamOf(v.Type()); ok {
			p.typ, p.stream = item, true
		}
		at := fmt.Sprintf("%s: parameter %s", m.name, v.Name())
		p.shape = c.shapes.of(p.typ, place{v.Pos(), at}, faults)
		m.params = append(m.params, p)
	}
}

func (c *contract) results(m *method, results *types.Tuple, faults *faults) {
	if n := results.Len(); n < 1 || n > 2 || types.TypeString(results.At(n-1).Type(), nil) != "error" {
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
	m.shape = c.shapes.of(m.result, place{m.pos, m.name + ": result"}, faults)
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
