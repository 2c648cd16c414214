package main

import (
	"io"
	"os"
	"slices"

	"github.com/alecthomas/kong"

	"github.com/carillon-go/carillon/internal/hubfile"
)

// configFile holds the settings of the configuration file, by the names of the flags.
type configFile struct {
	*hubfile.File
	used map[string]bool // names of settings with a value from the file
}

// load reads a configuration file. kong's own reader does not find names with a
// hyphen and ignores unknown names: a misspelt jwt-key would leave the hub open to all.
func (f *configFile) load(r io.Reader) (kong.Resolver, error) {
	path := ""
	if file, ok := r.(*os.File); ok {
		path = file.Name()
	}
	f.used = map[string]bool{}
	var err error
	f.File, err = hubfile.Read(path, r)
	return f, err
}

// Validate implements kong.Resolver. It refuses names that no command has.
func (f *configFile) Validate(app *kong.Application) error { return f.Unknown(settingsOf(app)) }

// settingsOf returns the names that a file may have at the top.
func settingsOf(app *kong.Application) []string {
	known := []string{hubfile.HubsKey}
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok && flag.Name != "help" && flag.Name != "config" {
			known = append(known, flag.Name)
		}
		return next(nil)
	})
	return known
}

// Resolve implements kong.Resolver. It leaves out a setting whose environment variable is
// set, because kong itself would prefer the file.
func (f *configFile) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	isSet := func(variable string) bool { _, ok := os.LookupEnv(variable); return ok }
	setting, ok := f.Settings[flag.Name]
	if !ok || slices.ContainsFunc(flag.Envs, isSet) {
		return nil, nil
	}
	f.used[flag.Name] = true
	return setting.Value, nil
}
