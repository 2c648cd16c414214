package main

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// arguments are the arguments of the program.
type arguments []string

// joinNegative joins a flag and a negative number after it, such as --max-connections -1, because
// kong takes -1 for another flag. It replaces the word help by the flag.
func joinNegative(args []string) []string {
	if len(args) > 0 && args[0] == "help" {
		args = append(append([]string{}, args[1:]...), "--help")
	}
	var joined []string
	for i, arg := range args {
		last := len(joined) - 1
		isNumber := len(arg) > 1 && arg[0] == '-' && arg[1] >= '0' && arg[1] <= '9'
		if i > 0 && isNumber && strings.HasPrefix(args[i-1], "-") && !strings.Contains(args[i-1], "=") && len(args[i-1]) > 2 {
			joined[last] += "=" + arg
			continue
		}
		joined = append(joined, arg)
	}
	return joined
}

// printHelp prints the help of a command. Without a command it prints the list of the commands and
// the settings of the default one.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if ctx.Selected() != nil {
		return kong.DefaultHelpPrinter(options, ctx)
	}
	serve, err := kong.Trace(ctx.Kong, []string{"serve"})
	if err != nil {
		return err
	}
	fmt.Fprintf(ctx.Stdout, "Usage: gateway [<command>] [flags]\n\n%s\n\nCommands:\n", ctx.Model.Help)
	for _, command := range ctx.Model.Children {
		fmt.Fprintf(ctx.Stdout, "  gateway %-8s  %s\n", command.Name, command.Help)
	}
	fmt.Fprint(ctx.Stdout, "\nEach command has --help. The settings of gateway serve:\n\n")
	options.NoAppSummary = true
	return kong.DefaultHelpPrinter(options, serve)
}
