package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"regexp"
	"strings"
)

var (
	wireName       = regexp.MustCompile(`(?m)^//carillon:name[ \t]+(\S+)[ \t]*\n`)
	otherDirective = regexp.MustCompile(`(?m)^//carillon:.*$`)
)

// docs finds the comments of methods.
type docs struct {
	found map[line]string
	read  map[string]bool // files
	fset  *token.FileSet
}

// line is the place of a method's name.
type line struct {
	file   string
	number int
}

// of returns the comment of a method of an interface, with its directives. The compiled
// form of another package has no comments, so the file is read.
func (d *docs) of(f *types.Func) string {
	at := d.fset.Position(f.Pos())
	if !d.read[at.Filename] {
		d.read[at.Filename] = true
		d.readFile(at.Filename)
	}
	return d.found[line{at.Filename, at.Line}]
}

func (d *docs) readFile(name string) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil && file == nil {
		return // the source is not there: its methods have no comments
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if i, ok := n.(*ast.InterfaceType); ok {
			for _, m := range i.Methods.List {
				for _, name := range m.Names {
					at := fset.Position(name.Pos())
					d.found[line{at.Filename, at.Line}] = directives(m.Doc) + m.Doc.Text()
				}
			}
		}
		return true
	})
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
