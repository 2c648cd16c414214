package main

import (
	_ "embed" // of the file
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/alecthomas/kong"
)

// initialFile is the configuration file that init writes.
//
//go:embed init.yaml
var initialFile string

// initCommand writes a configuration file.
type initCommand struct {
	File string `arg:"" type:"path" default:"carillon.yaml" help:"The file to write. It must not exist."`
}

// Run writes the file.
func (c *initCommand) Run(k *kong.Context) error {
	file, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists; init overwrites nothing", c.File)
	}
	if err != nil {
		return err
	}
	if _, err := file.WriteString(initialFile); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Close(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(k.Stdout, "%s is written. Start it with\n  gateway --config %s\n", c.File, c.File)
	return err
}
