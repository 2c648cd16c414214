package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"
)

// flagName matches a flag in an error, with the placeholder that kong prints. fromVariable
// matches kong's remark on a variable, which quotes the value. hubKey matches an error about a key
// below hubs.
var (
	flagName     = regexp.MustCompile(`--([a-z0-9]+(?:-[a-z0-9]+)*)(?:=[^:\s]*)?`)
	hubKey       = regexp.MustCompile(`^(?:serve: )?(hubs\.[^\s:]+): `)
	fromVariable = regexp.MustCompile(` \(from envar .*\)$`)
)

// variablesUsed returns the variables that settings have their values from, by the names of the
// flags.
func variablesUsed(c *kong.Context) map[string]string {
	used := map[string]string{}
	isSet := func(name string) bool { _, ok := os.LookupEnv(name); return ok }
	for _, flag := range c.Flags() {
		if i := slices.IndexFunc(flag.Envs, isSet); i >= 0 {
			used[flag.Name] = flag.Envs[i]
		}
	}
	for _, part := range c.Path {
		if part.Flag != nil && !part.Resolved { // on the command line
			delete(used, part.Flag.Name)
		}
	}
	return used
}

// locate names the variable, or the line and the key of the file, in place of the flag of each
// setting in an error that is not from the command line, and the line of each key below hubs.
func (p *parsed) locate(err error) error {
	if err == nil {
		return nil
	}
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		if key := hubKey.FindStringSubmatch(line); key != nil && p.file.File != nil {
			lines[i] = fmt.Sprintf("%s:%d: %q: %s", p.file.Path, p.file.Line(key[1]), key[1], line[len(key[0]):])
			continue
		}
		place := ""
		line = flagName.ReplaceAllStringFunc(line, func(flag string) string {
			name := flagName.FindStringSubmatch(flag)[1]
			switch {
			case p.variables[name] != "":
				return p.variables[name]
			case !p.file.used[name]:
				return flag
			case place == "":
				place = fmt.Sprintf("%s:%d: ", p.file.Path, p.file.Settings[name].Line)
			}
			return strconv.Quote(p.file.Settings[name].Key)
		})
		if line != lines[i] {
			line = fromVariable.ReplaceAllString(strings.TrimPrefix(line, "serve: "), "") // both by kong
			lines[i] = place + line
		}
	}
	if text := strings.Join(lines, "\n"); text != err.Error() {
		return errors.New(text)
	}
	return err
}
