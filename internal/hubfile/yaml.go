package hubfile

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/carillon-go/carillon/internal/guard"
)

// yamlReader makes a tree of a parsed YAML file. An alias shares the tree of its anchor, so a file
// of nested aliases costs no memory.
type yamlReader struct {
	anchors map[string]*node
	budget  int // of pairs that are merged
}

// maxMerged limits the pairs that all merges (<<) of a file copy.
const maxMerged = 10_000

// readYAML returns the tree of a file that is one YAML mapping.
func readYAML(source []byte) (root *node, err error) {
	var file *ast.File
	err = guard.Run(func() (err error) { // the parser has had panics
		file, err = parser.ParseBytes(source, 0, parser.AllowDuplicateMapKey())
		return err
	})
	if err != nil {
		return nil, syntaxError(err)
	}
	r := &yamlReader{anchors: map[string]*node{}, budget: maxMerged}
	for _, document := range file.Docs {
		if document.Body == nil {
			continue
		}
		if root != nil {
			return nil, &placed{lineOf(document.Body), "", errors.New("the file has a second YAML document; write all settings into one")}
		}
		if root, err = r.node(document.Body, ""); err != nil {
			return nil, err
		}
	}
	if root == nil || root.kind != mapping {
		return nil, &placed{1, "", errors.New("the file is not a mapping; write settings as key: value, one a line")}
	}
	return root, nil
}

// syntaxError returns an error of the parser with its place and without its picture of the lines.
func syntaxError(err error) error {
	var syntax interface {
		GetMessage() string
		GetToken() *token.Token
	}
	if !errors.As(err, &syntax) {
		return &placed{1, "", fmt.Errorf("not valid YAML: %w", err)}
	}
	line := 1
	if t := syntax.GetToken(); t != nil && t.Position != nil {
		line = t.Position.Line
	}
	return &placed{line, "", errors.New("not valid YAML: " + syntax.GetMessage())}
}

func lineOf(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 1
}

// node returns the tree of a value at a path.
func (r *yamlReader) node(n ast.Node, path string) (*node, error) {
	fail := func(message string) (*node, error) { return nil, &placed{lineOf(n), path, errors.New(message)} }
	switch v := n.(type) {
	case nil, *ast.NullNode:
		made := &node{}
		if n != nil {
			made.line = lineOf(n)
		}
		return made, nil
	case *ast.MappingNode:
		return r.mapping(v, v.Values, path)
	case *ast.MappingValueNode:
		return r.mapping(v, []*ast.MappingValueNode{v}, path)
	case *ast.SequenceNode:
		made := &node{kind: list, line: lineOf(n)}
		for _, item := range v.Values {
			one, err := r.node(item, path)
			if err != nil {
				return nil, err
			}
			made.items = append(made.items, one)
		}
		return made, nil
	case *ast.AnchorNode:
		made, err := r.node(v.Value, path)
		if err == nil {
			r.anchors[v.Name.String()] = made // only now: no value contains itself
		}
		return made, err
	case *ast.AliasNode:
		if made := r.anchors[v.Value.String()]; made != nil {
			return made, nil
		}
		return fail(fmt.Sprintf("there is no anchor &%s above; a text that begins with * needs quotes, such as \"*\"", v.Value))
	case *ast.TagNode:
		return fail("tags such as " + v.Start.Value + " have no meaning here")
	}
	return scalar(n, fail)
}

// scalar returns the tree of a value that is neither a mapping nor a list.
func scalar(n ast.Node, fail func(string) (*node, error)) (*node, error) {
	made := &node{kind: text, line: lineOf(n)}
	switch v := n.(type) {
	case *ast.StringNode:
		made.text = v.Value
	case *ast.LiteralNode:
		made.text = v.Value.Value
	case *ast.BoolNode:
		made.kind, made.text = boolean, fmt.Sprint(v.Value)
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		made.kind, made.text = number, n.GetToken().Value
	default:
		return fail("this is no value of a setting")
	}
	return made, nil
}

// mapping returns the tree of the pairs at a path. Pairs that are written precede those that are
// merged into the mapping.
func (r *yamlReader) mapping(n ast.Node, pairs []*ast.MappingValueNode, path string) (*node, error) {
	made := &node{kind: mapping, line: lineOf(n)}
	if len(pairs) > 0 {
		made.line = lineOf(pairs[0].Key)
	}
	var merged []*node
	for _, p := range pairs {
		line := lineOf(p.Key)
		if p.Key.IsMergeKey() {
			value, err := r.node(p.Value, path)
			if err != nil {
				return nil, err
			}
			merged = append(merged, value)
			continue
		}
		key, err := scalar(p.Key, func(string) (*node, error) {
			return nil, &placed{line, path, errors.New("a key must be a text")}
		})
		if err != nil {
			return nil, err
		}
		value, err := r.node(p.Value, join(path, key.text))
		if err != nil {
			return nil, err
		}
		if value.kind == null && value.line == 0 {
			value.line = line
		}
		if err := made.add(pair{key.text, line, value}); err != nil {
			return nil, &placed{line, join(path, key.text), err}
		}
	}
	for _, source := range merged {
		if err := r.merge(made, source); err != nil {
			return nil, &placed{made.line, path, err}
		}
	}
	return made, nil
}

// merge adds to n the pairs of a mapping, or of all mappings of a list, for keys that n lacks.
func (r *yamlReader) merge(n, source *node) error {
	if source.kind == list {
		for _, one := range source.items {
			if err := r.merge(n, one); err != nil {
				return err
			}
		}
		return nil
	}
	if source.kind != mapping {
		return errors.New("<< merges mappings only, such as *name")
	}
	for _, p := range source.pairs {
		if r.budget--; r.budget < 0 {
			return fmt.Errorf("the file merges more than %d settings", maxMerged)
		}
		_ = n.add(p) // n keeps its own
	}
	return nil
}
