// Command gateway serves the clock hub over WebSockets, server-sent events and
// long polling, and a page that shows it.
//
// It exits with 0 after an orderly end (SIGTERM, SIGINT), with 1 when it could
// not serve, and with 2 when its flags are wrong. gateway doctor has exit codes of its
// own: 0 all is well, 1 clients connect by a fallback, 2 nothing works.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/carillon-go/carillon/internal/gateway"
)

const (
	exitOK = iota
	exitFailure
	exitUsage
)

// commands are the program's command line.
type commands struct {
	Config kong.ConfigFlag `type:"path" placeholder:"FILE" env:"CARILLON_CONFIG" help:"JSON file with settings; its keys are the names of the flags. A flag overrides a variable, and a variable overrides the file."`

	Serve  serveCommand  `cmd:"" default:"withargs" help:"Serve the clock hub and its page. This is the default command. The others are gateway watch, gateway doctor, gateway bench and gateway version; each has --help."`
	Watch  watchCommand  `cmd:"" help:"Connect to a hub as a client. Print each invocation by the hub and each change of the connection."`
	Doctor doctorCommand `cmd:"" help:"Test the path from here to a hub: which transports work, which are held back or cut, and how to configure the proxies."`
	Bench  benchCommand  `cmd:"" help:"Put load on a hub and measure rates, latencies, and the server's CPU time and memory."`

	Version versionCommand `cmd:"" help:"Print the version of this program, its revision, and the version of Go."`
}

// exitStatus is the error of a command that has said everything.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

type serveCommand struct {
	gateway.Config `embed:""`
}

func (c *serveCommand) Run(ctx context.Context) error {
	log := c.Logger()
	slog.SetDefault(log)
	server, err := gateway.New(c.Config, log)
	if err != nil {
		return err
	}
	return server.Run(ctx)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// The first signal begins the orderly end; from then on signals do what they
	// do by default, so that a second one ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is the program, and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	helped := false
	parser, err := kong.New(&commands{},
		kong.Name("gateway"),
		kong.Description("A real-time gateway that speaks the ASP.NET Core SignalR protocol."),
		kong.DefaultEnvars("CARILLON"),
		kong.Configuration(loadConfig),
		kong.Help(printHelp),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { helped = true }),
	)
	if err != nil {
		fmt.Fprintln(stderr, "gateway:", err)
		return exitFailure
	}
	command, err := parser.Parse(args)
	switch {
	case helped:
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "gateway: %v\nRun gateway --help for the flags.\n", err)
		return exitUsage
	}
	// From here on, for kong asks the terminal how wide it is.
	stderr = visible{stderr}
	parser.Stdout, parser.Stderr = visible{stdout}, stderr
	err = command.Run()
	if status := exitStatus(0); errors.As(err, &status) {
		return int(status)
	}
	if err != nil {
		fmt.Fprintln(stderr, "gateway:", err)
		return exitFailure
	}
	return exitOK
}

// printHelp shows the flags of the default command to whoever names none.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	if ctx.Selected() == nil {
		serve, err := kong.Trace(ctx.Kong, []string{"serve"})
		if err != nil {
			return err
		}
		ctx = serve
	}
	return kong.DefaultHelpPrinter(options, ctx)
}
