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
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

const (
	exitOK = iota
	exitFailure
	exitUsage
)

// commands are the program's command line.
type commands struct {
	Config kong.ConfigFlag `type:"path" placeholder:"FILE" env:"CARILLON_CONFIG" help:"File with settings, YAML or JSON; its keys are the names of the flags, and hubs. A flag overrides a variable, and a variable overrides the file."`

	Serve   serveCommand   `cmd:"" default:"withargs" help:"Serve the hubs of the configuration file, or without any the clock hub and its page. This is the default command."`
	Check   checkCommand   `cmd:"" help:"Say what is wrong with a configuration file, or what it serves."`
	Init    initCommand    `cmd:"" help:"Write a configuration file with a hub and with comments."`
	Watch   watchCommand   `cmd:"" help:"Connect to a hub as a client. Print each invocation by the hub and each change of the connection."`
	Publish publishCommand `cmd:"" help:"Send a message to clients of a hub, by the REST interface of a server."`
	Doctor  doctorCommand  `cmd:"" help:"Test the path from here to a hub: which transports work, which are buffered or cut, and how to configure the proxies."`
	Bench   benchCommand   `cmd:"" help:"Put load on a hub and measure rates, latencies, and the server's CPU time and memory."`
	Token   tokenCommand   `cmd:"" help:"Make tokens for the hub, and show and verify the contents of tokens."`
	Secret  secretCommand  `cmd:"" help:"Make a secret for --cluster-secret-file, or an access key for --access-key-file, and print it."`

	Version versionCommand `cmd:"" help:"Print the version of this program, its revision, and the version of Go."`
}

// exitStatus is the error of a command that has said everything.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	// The first signal begins the orderly end; from then on signals do what they
	// do by default, so that a second one ends the program at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// parsed is a command line that has been parsed.
type parsed struct {
	commands
	file      configFile
	variables map[string]string // those that settings have their values from, by flag
	helped    bool              // the help was printed
	kong      *kong.Context
}

// parse parses a command line.
func parse(args []string, stdout, stderr io.Writer) (*parsed, error) {
	p := &parsed{}
	parser, err := kong.New(&p.commands,
		kong.Name("gateway"),
		kong.Description("A real-time gateway that speaks the ASP.NET Core SignalR protocol."),
		kong.DefaultEnvars("CARILLON"),
		kong.Configuration(func(r io.Reader) (kong.Resolver, error) {
			resolver, err := p.file.load(r)
			p.Serve.Hubs = p.file.Hubs
			return resolver, err
		}),
		kong.Help(printHelp),
		kong.Bind(p),
		kong.Writers(stdout, stderr),
		kong.Exit(func(int) { p.helped = true }),
	)
	if err != nil {
		return p, err
	}
	p.kong, err = parser.Parse(joinNegative(args))
	c := p.kong
	if failed := new(kong.ParseError); errors.As(err, &failed) {
		c = failed.Context
	}
	p.variables = variablesUsed(c)
	return p, p.locate(err)
}

// run is the program, and returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p, err := parse(args, stdout, stderr)
	stdout, stderr = visible{stdout}, visible{stderr} // from here on, because kong asks the terminal for its width
	switch {
	case p.helped:
		return exitOK
	case err != nil:
		fmt.Fprintf(stderr, "gateway: %v\nRun gateway --help for the flags.\n", err)
		return exitUsage
	}
	p.kong.Stdout, p.kong.Stderr = stdout, stderr
	warnOfVariables(p.kong.Model, os.Environ(), stderr)
	p.kong.BindTo(ctx, (*context.Context)(nil))
	p.kong.Bind(arguments(args))
	err = p.locate(p.kong.Run())
	if status := exitStatus(0); errors.As(err, &status) {
		return int(status)
	}
	if err != nil {
		fmt.Fprintln(stderr, "gateway:", err)
		return exitFailure
	}
	return exitOK
}
