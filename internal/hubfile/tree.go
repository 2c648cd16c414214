package hubfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"
)

// kind is the kind of a value in the file.
type kind uint8

const (
	null kind = iota
	text
	number // text has it as it is written
	boolean
	list
	mapping
)

// node is a value of the file with its place.
type node struct {
	kind  kind
	line  int
	text  string // of a text, a number, or true or false
	items []*node
	pairs []pair         // of a mapping, each key once
	index map[string]int // into pairs, by key
}

// pair is a key of a mapping with its value.
type pair struct {
	key   string
	line  int
	value *node
}

// find returns the pair with a key, or nil.
func (n *node) find(key string) *pair {
	if i, ok := n.index[key]; ok {
		return &n.pairs[i]
	}
	return nil
}

// add adds a pair, unless the mapping has its key.
func (n *node) add(p pair) error {
	if before := n.find(p.key); before != nil {
		return fmt.Errorf("the setting is also in line %d", before.line)
	}
	if n.index == nil {
		n.index = map[string]int{}
	}
	n.index[p.key] = len(n.pairs)
	n.pairs = append(n.pairs, p)
	return nil
}

// placed is an error about a place in the file.
type placed struct {
	line int
	key  string // "" if the error is not about one
	err  error
}

func (p *placed) Error() string { return p.err.Error() }

// jsonReader reads a JSON object as a tree. A reader of YAML would not join the two halves of
// escaped characters beyond U+FFFF, and its errors are not in terms of JSON.
type jsonReader struct {
	*json.Decoder
	text []byte
	ends []int // offsets of the ends of the lines
}

// readJSON returns the tree of a file that is one JSON object.
func readJSON(text []byte) (*node, error) {
	r := jsonReader{Decoder: json.NewDecoder(bytes.NewReader(text)), text: text}
	r.UseNumber()
	for i, c := range text {
		if c == '\n' {
			r.ends = append(r.ends, i+1)
		}
	}
	token, err := r.Token()
	if err == nil && token != json.Delim('{') {
		err = errors.New("the file is not a JSON object")
	}
	if err != nil {
		return nil, r.fail("", err)
	}
	root, err := r.object("")
	if err != nil {
		return nil, err
	}
	if _, err := r.Token(); !errors.Is(err, io.EOF) {
		if err == nil {
			err = errors.New("the file continues after the JSON object")
		}
		return nil, r.fail("", err)
	}
	return root, nil
}

// line returns the line of the last token.
func (r jsonReader) line() int { return r.lineAt(int(r.InputOffset())) }

// lineAt returns the line of an offset.
func (r jsonReader) lineAt(offset int) int {
	return 1 + sort.SearchInts(r.ends, offset+1)
}

// fail returns an error about the value of a key, which follows the last token, or without a key
// about the last token.
func (r jsonReader) fail(key string, err error) error {
	at := int(r.InputOffset()) - 1
	if key != "" {
		at = len(r.text) - len(bytes.TrimLeft(r.text[min(at+1, len(r.text)):], " \t\r\n:,"))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the JSON object has no end")
	}
	return &placed{r.lineAt(at), key, err}
}

// object reads the rest of an object. Its keys are below a path.
func (r jsonReader) object(path string) (*node, error) {
	n := &node{kind: mapping, line: r.line()}
	for r.More() {
		token, err := r.Token()
		if err != nil {
			return nil, r.fail("", err)
		}
		key, _ := token.(string)
		p := pair{key: key, line: r.line()}
		if p.value, err = r.value(join(path, key)); err != nil {
			return nil, err
		}
		if err := n.add(p); err != nil {
			return nil, &placed{p.line, join(path, key), err}
		}
	}
	if _, err := r.Token(); err != nil {
		return nil, r.fail("", err)
	}
	return n, nil
}

// value reads the value of a key.
func (r jsonReader) value(path string) (*node, error) {
	token, err := r.Token()
	if err != nil {
		return nil, r.fail(path, err)
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			return r.object(path)
		}
		return r.array(path)
	case string:
		return &node{kind: text, line: r.line(), text: v}, nil
	case json.Number:
		return &node{kind: number, line: r.line(), text: v.String()}, nil
	case bool:
		return &node{kind: boolean, line: r.line(), text: fmt.Sprint(v)}, nil
	}
	return &node{line: r.line()}, nil
}

// array reads the rest of an array.
func (r jsonReader) array(path string) (*node, error) {
	n := &node{kind: list, line: r.line()}
	for r.More() {
		item, err := r.value(path)
		if err != nil {
			return nil, err
		}
		n.items = append(n.items, item)
	}
	if _, err := r.Token(); err != nil {
		return nil, r.fail(path, err)
	}
	return n, nil
}

// join returns the path of a key below a path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
