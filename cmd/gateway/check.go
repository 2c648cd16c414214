package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/carillon-go/carillon/internal/gateway"
	"github.com/carillon-go/carillon/internal/hubfile"
)

// checkCommand names the errors of a configuration file.
type checkCommand struct {
	File string `arg:"" type:"path" help:"The configuration file."`
}

// Help is shown below the flags.
func (*checkCommand) Help() string {
	return "It reads the files that the settings name, and the variables of the environment, and opens no network connection. Exit status: 0: the file is fine. 2: something is wrong."
}

// Run prints all errors of the file, or otherwise its hubs and their clients.
func (c *checkCommand) Run(k *kong.Context) error {
	settings, err := check(c.File, k.Model)
	if err != nil {
		fmt.Fprintln(k.Stderr, err)
		return exitStatus(exitUsage)
	}
	fmt.Fprintf(k.Stdout, "%s is fine.\n\n", c.File)
	settings.Summary(k.Stdout)
	return nil
}

// check returns the settings of a file, or all errors in it, each once.
func check(path string, app *kong.Application) (*gateway.Config, error) {
	text, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = text.Close() }()
	p := &parsed{}
	p.file.used = map[string]bool{}
	p.file.File, err = hubfile.Read(path, text)
	errs := []error{err}
	if err == nil || len(p.file.Settings)+len(p.file.Hubs) > 0 {
		errs = append(errs, p.file.Unknown(settingsOf(app)))
	}
	settings, wrong := p.readSettings()
	errs = append(append(errs, wrong...), p.locate(settings.Check()))
	if err := errors.Join(errs...); err != nil {
		return nil, errors.New(strings.Join(distinctLines(err.Error()), "\n"))
	}
	return settings, nil
}

// readSettings returns the settings of the program with the hubs of the file, and an error for
// each value of the file that cannot be read. Such a setting then has its default. It does not
// validate the settings.
func (p *parsed) readSettings() (*gateway.Config, []error) {
	var errs []error
	for {
		settings := &serveCommand{}
		settings.Hubs = p.file.Hubs
		parser, err := kong.New(settings, kong.DefaultEnvars("CARILLON"), kong.Resolvers(kong.ResolverFunc(p.file.Resolve)),
			kong.Writers(io.Discard, io.Discard), kong.Exit(func(int) {}))
		if err != nil {
			return &settings.Config, append(errs, err)
		}
		c, err := parser.Parse(nil)
		if failed := new(kong.ParseError); errors.As(err, &failed) {
			c = failed.Context
		}
		p.variables = variablesUsed(c)
		if invalid := settings.Validate(); err == nil || invalid != nil && strings.HasSuffix(err.Error(), invalid.Error()) {
			return &settings.Config, errs
		}
		errs = append(errs, p.locate(err))
		wrong := false
		for _, flag := range flagName.FindAllStringSubmatch(err.Error(), -1) {
			if _, ok := p.file.Settings[flag[1]]; ok {
				delete(p.file.Settings, flag[1])
				wrong = true
			}
		}
		if !wrong { // the error is not of the file
			return &settings.Config, errs
		}
	}
}

// distinctLines returns the lines of a text, each once.
func distinctLines(text string) (lines []string) {
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); !seen[line] {
			lines = append(lines, line)
		}
		seen[line] = true
	}
	return lines
}
