package main

import (
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/carillon-go/carillon/internal/hubfile"
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
		nearest := hubfile.Nearest(name, known)
		const typing = 2 // letters that a typing error changes
		if strings.HasPrefix(strings.ToUpper(name), variablePrefix) || hubfile.Distance(name, nearest) <= typing {
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
