package main

import (
	"io"
	"os"

	"github.com/alecthomas/kong"
)

// loadConfig reads a configuration file. A setting whose variable is set is left
// to it: kong itself would let the file win.
func loadConfig(r io.Reader) (kong.Resolver, error) {
	file, err := kong.JSON(r)
	if err != nil {
		return nil, err
	}
	return kong.ResolverFunc(func(c *kong.Context, parent *kong.Path, flag *kong.Flag) (any, error) {
		for _, name := range flag.Envs {
			if _, set := os.LookupEnv(name); set {
				return nil, nil
			}
		}
		return file.Resolve(c, parent, flag)
	}), nil
}
