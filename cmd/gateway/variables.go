package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const variablePrefix = "CARILLON_"

// serviceLinks matches the variables that Kubernetes sets for a service named carillon.
var serviceLinks = regexp.MustCompile(`^CARILLON_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_.+)?)?)$`)

// warnOfVariables warns of variables of the environment that look like settings and are none,
// because a misspelt one can leave the hub open to all. It never prints a value.
func warnOfVariables(app *kong.Application, environ []string, stderr io.Writer) {
	known := variablesOf(app)
	for _, variable := range environ {
		name, _, _ := strings.Cut(variable, "=")
		if slices.Contains(known, name) || serviceLinks.MatchString(name) {
			continue
		}
		nearest := slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
		const typing = 2 // letters that a typing error changes
		if strings.HasPrefix(strings.ToUpper(name), variablePrefix) || distance(name, nearest) <= typing {
			fmt.Fprintf(stderr, "gateway: warning: the variable %s is no setting and has no effect; the nearest name is %s\n", name, nearest)
		}
	}
}

// variablesOf returns the names of the variables of all flags.
func variablesOf(app *kong.Application) (known []string) {
	_ = kong.Visit(app, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			for _, name := range flag.Envs {
				if strings.HasPrefix(name, variablePrefix) {
					known = append(known, name)
				}
			}
		}
		return next(nil)
	})
	return known
}

// distance is the number of letters to insert, remove or replace to turn one text into the other.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		above := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := above
			if a[i] != b[j] {
				replaced++
			}
			above = row[j+1]
			row[j+1] = min(replaced, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
