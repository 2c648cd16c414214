// Package hubfile reads the configuration file: YAML, or JSON if it begins with a brace. Its
// errors name the file, the line and the key, and the right value. Settings of the program
// are flat, by the names of their flags; those of hubs are structs.
package hubfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/carillon-go/carillon/internal/fold"
)

// MaxSize is the limit of the size of a file in bytes.
const MaxSize = 256 << 10

// maxHubs is the limit of the number of hubs.
const maxHubs = 1000

// HubsKey is the key of the hubs in the file.
const HubsKey = "hubs"

// anchorsPrefix begins the keys that are no settings and may have any value: a place for anchors.
const anchorsPrefix = "x-"

// File is a configuration file.
type File struct {
	// Path is the path of the file, for errors.
	Path string
	// Settings are the settings of the program, by the names of the flags.
	Settings map[string]Setting
	// Hubs are the hubs in their order. They have the right types; nothing else is checked.
	Hubs []Hub

	lines map[string]int // of the keys below hubs
}

// Setting is a setting of the program.
type Setting struct {
	Key  string // as it is written
	Line int
	// Value is a string, a bool, a []any of these, or nil. A number is the text of its digits, so
	// that it has the meaning that it has on the command line.
	Value any
}

// Read reads a file, at most MaxSize bytes.
func Read(path string, r io.Reader) (*File, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	switch {
	case err != nil:
		return &File{Path: path}, err
	case len(text) > MaxSize:
		return &File{Path: path}, fmt.Errorf("%s: the file has more than %d bytes", path, MaxSize)
	}
	return Parse(path, text)
}

// Parse parses the text of a file. The error joins all errors of the file. With an error, the
// returned file has the settings that could be read.
func Parse(path string, text []byte) (*File, error) {
	f := &File{Path: path, Settings: map[string]Setting{}, lines: map[string]int{}}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	read := readYAML
	if start := bytes.TrimSpace(text); len(start) > 0 && (start[0] == '{' || start[0] == '[') {
		read = readJSON
	}
	root, err := (*node)(nil), checkDepth(text)
	if err == nil {
		root, err = read(text)
	}
	if err != nil {
		return f, f.located(err)
	}
	d := &decoder{lines: f.lines}
	for _, p := range root.pairs {
		switch {
		case strings.HasPrefix(p.key, anchorsPrefix):
		case p.key == HubsKey:
			f.hubs(d, p)
		default:
			if err := f.setting(p); err != nil {
				d.fail(p.line, p.key, "%w", err)
			}
		}
	}
	errs := make([]error, len(d.errors))
	for i, err := range d.errors {
		errs[i] = f.located(err)
	}
	return f, errors.Join(errs...)
}

// maxDepth is the limit of the nesting of brackets and of list items on one line. The readers take
// a time that grows with the square of the nesting.
const maxDepth = 100

// checkDepth refuses a nesting beyond maxDepth. It also counts brackets within texts.
func checkDepth(text []byte) error {
	line, depth := 0, 0
	for row := range bytes.Lines(text) {
		line++
		marks := len(row) - len(bytes.TrimLeft(row, " \t-?"))
		for _, c := range row {
			switch c {
			case '[', '{':
				depth++
			case ']', '}':
				depth--
			}
			if depth > maxDepth || marks > 2*maxDepth {
				return &placed{line, "", fmt.Errorf("the values are nested more than %d times", maxDepth)}
			}
		}
	}
	return nil
}

// located adds the file, the line and the key to an error of a reader.
func (f *File) located(err error) error {
	p := new(placed)
	switch {
	case !errors.As(err, &p):
		return fmt.Errorf("%s: %w", f.Path, err)
	case p.key == "":
		return fmt.Errorf("%s:%d: %w", f.Path, p.line, p.err)
	}
	return fmt.Errorf("%s:%d: %q: %w", f.Path, p.line, p.key, p.err)
}

// Line returns the line of a key below hubs, such as hubs.chat.path, or of the nearest key above
// it that is in the file. It returns 0 if there is none.
func (f *File) Line(key string) int {
	for {
		if line := f.lines[key]; line != 0 {
			return line
		}
		end := strings.LastIndexAny(key, ".[")
		if end < 0 {
			return 0
		}
		key = key[:end]
	}
}

// setting keeps a setting of the program.
func (f *File) setting(p pair) error {
	name := strings.ReplaceAll(p.key, "_", "-")
	if before, twice := f.Settings[name]; twice {
		return fmt.Errorf("the setting is also in line %d", before.Line)
	}
	value, err := plain(p.value)
	if err == nil {
		f.Settings[name] = Setting{p.key, p.line, value}
	}
	return err
}

// Unknown returns an error for each setting of the program that is not known, in their order.
func (f *File) Unknown(known []string) error {
	var errs []error
	byLine := func(a, b string) int { return f.Settings[a].Line - f.Settings[b].Line }
	for _, name := range slices.SortedFunc(maps.Keys(f.Settings), byLine) {
		if s := f.Settings[name]; !slices.Contains(known, name) {
			errs = append(errs, f.located(&placed{s.Line, s.Key, unknown(name, known)}))
		}
	}
	return errors.Join(errs...)
}

// plain returns the value of a setting of the program.
func plain(n *node) (any, error) {
	switch n.kind {
	case null:
		return nil, nil
	case boolean:
		return n.text == "true", nil
	case list:
		items := make([]any, len(n.items))
		for i, item := range n.items {
			if item.kind == list {
				return nil, errors.New("a list in a list is no value of a setting")
			}
			var err error
			if items[i], err = plain(item); err != nil {
				return nil, err
			}
		}
		return items, nil
	case mapping:
		return nil, errors.New("a mapping (in JSON: an object) is no value of a setting; settings of hubs are below hubs, NAME")
	}
	return n.text, nil
}

// hubName matches the names of hubs.
var hubName = regexp.MustCompile("^[A-Za-z][A-Za-z0-9_`,.\\[\\]]{0,127}$")

// IsName reports whether a hub may have a name.
func IsName(name string) bool { return hubName.MatchString(name) }

// hubs reads the hubs.
func (f *File) hubs(d *decoder, hubs pair) {
	d.lines[HubsKey] = hubs.line
	if hubs.value.kind != mapping || len(hubs.value.pairs) == 0 {
		d.fail(hubs.line, HubsKey, "there is no hub; write its name, such as chat, as a key with its settings below it")
		return
	}
	if len(hubs.value.pairs) > maxHubs {
		d.fail(hubs.line, HubsKey, "there are more than %d hubs", maxHubs)
		return
	}
	named := map[string]string{}
	for _, p := range hubs.value.pairs {
		path := join(HubsKey, p.key)
		d.lines[path] = p.line
		if !IsName(p.key) {
			d.fail(p.line, path, "the name of a hub is a letter with letters, digits and _ ` , . [ ] after it, at most 128")
		}
		if other, twice := named[fold.Upper(p.key)]; twice {
			d.fail(p.line, path, "the name differs from that of hub %s in case only", other)
		}
		named[fold.Upper(p.key)] = p.key
		h := Hub{Name: p.key}
		if p.value.kind == null { // all settings have their defaults
			p.value.kind = mapping
		}
		d.fields(p.value, path, reflect.ValueOf(&h).Elem())
		f.Hubs = append(f.Hubs, h)
	}
}
