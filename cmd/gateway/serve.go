package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/carillon-go/carillon/internal/gateway"
)

type serveCommand struct {
	gateway.Config `embed:""`
}

// Run serves until ctx ends or the terminal closes. SIGHUP reloads the settings.
func (c *serveCommand) Run(ctx context.Context, k *kong.Kong, args arguments, p *parsed) error {
	level := new(slog.LevelVar)
	log := c.Logger(level)
	slog.SetDefault(log)
	signal.Ignore(syscall.SIGPIPE) // a reader of the log that ends must not end the program
	ctx, reload, stop := hangups(ctx, log)
	defer stop()
	server, err := gateway.New(c.Config, log)
	if err != nil {
		return err
	}
	server.Follow(gateway.Source{
		Settings: func() (_ gateway.Config, err error) {
			p, err = parse(args, io.Discard, io.Discard)
			return p.Serve.Config, err
		},
		Locate: func(err error) error { return p.locate(err) },
		Files:  filesOf(p.Config),
		Signal: reload,
		Level:  level,
	})
	if isTerminal(os.Stderr) {
		server.Announce(k.Stderr)
	}
	return server.Run(ctx)
}

// filesOf returns the configuration file, if there is one.
func filesOf(config kong.ConfigFlag) []string {
	path, err := filepath.Abs(kong.ExpandPath(string(config)))
	if config == "" || err != nil {
		return nil
	}
	return []string{path}
}

// hangups receives SIGHUP until stop is called. The signal means a reload, except when the
// terminal of the program was closed: then ctx ends, and with it the program, in order. If the
// signal was ignored from the start, as under nohup, a closed terminal means nothing.
func hangups(ctx context.Context, log *slog.Logger) (_ context.Context, reload <-chan os.Signal, stop func()) {
	atTerminal := hasTerminal() && !signal.Ignored(syscall.SIGHUP)
	received, passed := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(received, syscall.SIGHUP)
	ctx, end := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range received {
			if atTerminal && !hasTerminal() {
				log.Info("the terminal was closed")
				end()
				continue
			}
			select {
			case passed <- syscall.SIGHUP:
			default: // a reload is due already
			}
		}
	}()
	return ctx, passed, func() {
		signal.Stop(received)
		close(received)
		<-done
		end()
	}
}

// hasTerminal reports whether the program has a terminal that signals can come from.
func hasTerminal() bool {
	f, err := os.Open("/dev/tty")
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

// isTerminal reports whether a file is a terminal.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// endOnHangup returns a context that also ends with SIGHUP, for commands that reload nothing.
func endOnHangup(ctx context.Context) (context.Context, context.CancelFunc) {
	return signal.NotifyContext(ctx, syscall.SIGHUP)
}
