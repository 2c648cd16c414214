package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// settings holds the settings of a configuration file, by the names of the flags.
type settings map[string]any

// loadConfig reads a configuration file. kong's own reader does not find names with a
// hyphen and ignores unknown names: a misspelt jwt-key would leave the hub open to all.
func loadConfig(r io.Reader) (kong.Resolver, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	var file settings
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, err
	}
	s := settings{}
	for key, value := range file {
		s[strings.ReplaceAll(key, "_", "-")] = value
	}
	return s, nil
}

// Validate implements kong.Resolver.
func (s settings) Validate(app *kong.Application) error {
	known := map[string]bool{}
	err := kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			known[flag.Name] = true
		}
		return next(nil)
	})
	for name := range s {
		if !known[name] {
			return fmt.Errorf("--config: there is no setting %q", name)
		}
	}
	return err
}

// Resolve implements kong.Resolver. It leaves out a setting whose environment variable is
// set, because kong itself would prefer the file.
func (s settings) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	isSet := func(variable string) bool { _, ok := os.LookupEnv(variable); return ok }
	if slices.ContainsFunc(flag.Envs, isSet) {
		return nil, nil
	}
	return s[flag.Name], nil
}
