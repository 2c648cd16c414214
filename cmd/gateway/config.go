package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// configFile holds the settings of the configuration file, by the names of the flags. Its errors
// name the file, the line and the key.
type configFile struct {
	path   string
	values map[string]any
	lines  map[string]int    // by name
	keys   map[string]string // as written in the file, by name
	used   map[string]bool   // names with a value from the file
}

// load reads a configuration file. kong's own reader does not find names with a
// hyphen and ignores unknown names: a misspelt jwt-key would leave the hub open to all.
func (f *configFile) load(r io.Reader) (kong.Resolver, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if file, ok := r.(*os.File); ok {
		f.path = file.Name()
	}
	f.values, f.lines, f.keys, f.used = map[string]any{}, map[string]int{}, map[string]string{}, map[string]bool{}
	return f, f.parse(text)
}

// parse reads one JSON object with one value for each name.
func (f *configFile) parse(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	line := func() int { return 1 + bytes.Count(text[:min(decoder.InputOffset(), int64(len(text)))], []byte("\n")) }
	token, err := decoder.Token()
	if err == nil && token != json.Delim('{') {
		err = errors.New("the file is not a JSON object")
	}
	for err == nil && decoder.More() {
		if token, err = decoder.Token(); err != nil {
			break
		}
		key, _ := token.(string)
		at := line()
		var value any
		if err = decoder.Decode(&value); err != nil {
			return f.fail(lineOf(text, err, line()), key, err)
		}
		if err := f.add(key, at, value); err != nil {
			return f.fail(at, key, err)
		}
	}
	if err == nil {
		_, err = decoder.Token()
	}
	if err == nil {
		if _, more := decoder.Token(); more != io.EOF {
			err = errors.New("the file continues after the JSON object")
			if more != nil {
				err = more
			}
		}
	}
	if err != nil {
		return f.fail(lineOf(text, err, line()), "", err)
	}
	return nil
}

// lineOf returns the line of a syntax error, or otherwise a line.
func lineOf(text []byte, err error, otherwise int) int {
	if syntax := new(json.SyntaxError); errors.As(err, &syntax) && syntax.Offset <= int64(len(text)) {
		return 1 + bytes.Count(text[:max(syntax.Offset-1, 0)], []byte("\n"))
	}
	return otherwise
}

// add keeps a setting. A number has the meaning of its digits on the command line: kong would take
// 5 for five nanoseconds, and 1.5 for 1.
func (f *configFile) add(key string, line int, value any) error {
	name := strings.ReplaceAll(key, "_", "-")
	if before, twice := f.lines[name]; twice {
		return fmt.Errorf("the setting is also in line %d", before)
	}
	if _, nested := value.(map[string]any); nested {
		return errors.New("a JSON object is no value of a setting")
	}
	if number, ok := value.(json.Number); ok {
		value = number.String()
	}
	f.values[name], f.lines[name], f.keys[name] = value, line, key
	return nil
}

// fail returns an error about a place in the file.
func (f *configFile) fail(line int, key string, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the JSON object has no end")
	}
	if key == "" {
		return fmt.Errorf("%s:%d: %w", f.path, line, err)
	}
	return fmt.Errorf("%s:%d: %q: %w", f.path, line, key, err)
}

// Validate implements kong.Resolver. It refuses names that no command has.
func (f *configFile) Validate(app *kong.Application) error {
	var known []string
	err := kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && flag.Name != "help" && flag.Name != "config" {
			known = append(known, flag.Name)
		}
		return next(nil)
	})
	for name := range f.values {
		if !slices.Contains(known, name) {
			nearest := slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
			return f.fail(f.lines[name], f.keys[name], fmt.Errorf("there is no such setting; the nearest name is %q", nearest))
		}
	}
	return err
}

// Resolve implements kong.Resolver. It leaves out a setting whose environment variable is
// set, because kong itself would prefer the file.
func (f *configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	isSet := func(variable string) bool { _, ok := os.LookupEnv(variable); return ok }
	value, ok := f.values[flag.Name]
	if !ok || slices.ContainsFunc(flag.Envs, isSet) {
		return nil, nil
	}
	f.used[flag.Name] = true
	return value, nil
}
