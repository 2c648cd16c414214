package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/carillon-go/carillon/internal/loadgen"
)

// benchCommand puts load on any SignalR server.
type benchCommand struct {
	URL           string            `arg:"" help:"URL of the hub, for example http://localhost:8080/hubs/clock."`
	Mode          string            `env:"-" enum:"idle,broadcast,echo,connect,negotiate" default:"idle" help:"What to do: idle (hold connections), broadcast (receive invocations), echo (call a method that returns its argument), connect (connect and leave, again and again), negotiate (negotiate and close, again and again; only the negotiation is timed)."`
	Transport     string            `env:"-" enum:"websockets,sse,longpolling" default:"websockets" help:"Transport of the connections: websockets, sse or longpolling."`
	Protocol      string            `env:"-" enum:"json,messagepack" default:"json" help:"Encoding of the messages: json or messagepack."`
	Connections   int               `env:"-" short:"c" default:"100" help:"Number of connections that are open at a time."`
	Ramp          time.Duration     `env:"-" help:"Time over which they are opened. Default: as fast as possible."`
	Warmup        time.Duration     `env:"-" default:"1s" help:"Time before the measurement begins."`
	Duration      time.Duration     `env:"-" short:"d" default:"10s" help:"Time of the measurement."`
	InFlight      int               `env:"-" help:"echo: concurrent calls of each connection, default 1. broadcast: keep so many broadcasts under way; the next begins when one has reached all connections."`
	Rate          float64           `env:"-" help:"broadcast: call the method so many times a second. Default: the server broadcasts by itself."`
	Method        string            `env:"-" help:"Method of the hub that returns a text (default Echo) or that broadcasts (default Broadcast)."`
	Fire          string            `env:"-" placeholder:"URL" help:"broadcast: POST to this URL instead of calling the method."`
	Payload       int               `env:"-" default:"32" help:"echo: length of the text, in bytes."`
	GC            string            `env:"-" name:"gc" placeholder:"URL" help:"idle: POST to this URL, which makes the server collect garbage, before its memory is read."`
	SkipNegotiate bool              `env:"-" help:"Connect WebSockets without negotiation."`
	PID           int               `env:"-" name:"pid" help:"Process id of the server, if it is on this machine: the report has its CPU time and memory."`
	Token         string            `env:"CARILLON_TOKEN" help:"Bearer token. Other users of this machine can read a command line, so set the variable instead."`
	Header        map[string]string `env:"-" mapsep:"none" placeholder:"NAME=VALUE" help:"Header of every request; may be repeated."`
	Insecure      bool              `env:"-" help:"Accept any TLS certificate."`
	JSON          bool              `env:"-" name:"json" help:"Print the result as one JSON object."`
}

// Run prints the result. It returns an error if a connection failed or was lost, or if a
// call failed. Refusals by limits of the server are a result.
func (c *benchCommand) Run(ctx context.Context, k *kong.Context) error {
	ctx, stop := endOnHangup(ctx)
	defer stop()
	o := c.options()
	o.Progress = func(p loadgen.Progress) { fmt.Fprintln(k.Stderr, progressLine(p)) }
	report, err := loadgen.Run(ctx, o)
	if err != nil {
		return err
	}
	if c.JSON {
		encoder := json.NewEncoder(k.Stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(report); err != nil {
			return err
		}
	} else {
		printReport(k.Stdout, report)
	}
	if !report.Healthy() {
		return fmt.Errorf("not everything went well: %d connections failed, %d were lost, %d errors, %d deliveries missing; the first: %s",
			report.Failed, report.Lost, report.Errors, report.Missing, report.FirstError)
	}
	return nil
}

func (c *benchCommand) options() loadgen.Options {
	o := loadgen.Options{
		URL: c.URL, Mode: loadgen.Mode(c.Mode), Transport: loadgen.Transport(c.Transport), Protocol: c.Protocol,
		Connections: c.Connections, Ramp: c.Ramp, Warmup: c.Warmup, Duration: c.Duration,
		InFlight: c.InFlight, Rate: c.Rate, Method: c.Method, Fire: c.Fire, Payload: c.Payload, GC: c.GC,
		SkipNegotiate: c.SkipNegotiate, PID: c.PID, Header: http.Header{}, InsecureTLS: c.Insecure,
	}
	for name, value := range c.Header {
		o.Header.Set(name, value)
	}
	if c.Token != "" {
		o.Header.Set("Authorization", "Bearer "+c.Token)
	}
	return o
}

func progressLine(p loadgen.Progress) string {
	return fmt.Sprintf("%3.0f s  %-10s  %d connections  %.0f/s", p.Elapsed.Seconds(), p.Phase, p.Open, p.Rate)
}

// operations names the operations that a mode counts.
var operations = map[loadgen.Mode]string{
	loadgen.Idle:      "messages",
	loadgen.Broadcast: "deliveries",
	loadgen.Echo:      "calls",
	loadgen.Connect:   "connections",
	loadgen.Negotiate: "negotiations",
}

// printReport prints the report as a table.
func printReport(w io.Writer, r *loadgen.Report) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	defer func() { _ = t.Flush() }() // an error here could not be printed
	row := func(name, format string, values ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", values...) }
	row("mode", "%s by %s, %s, %d connections, %.1f s", r.Mode, r.Transport, r.Protocol, r.Connections, r.Seconds)
	if r.Opened > 0 {
		row("opened", "%d in %.2f s, %.0f/s", r.Opened, r.OpenSeconds, float64(r.Opened)/r.OpenSeconds)
	}
	if r.Failed+r.Lost+r.Errors > 0 {
		row("failed", "%d not opened, %d lost, %d errors", r.Failed, r.Lost, r.Errors)
	}
	if r.Refused > 0 {
		rate := "" // one of openings would say nothing: they are not repeated
		if r.OpenSeconds == 0 {
			rate = fmt.Sprintf(", %.0f/s", float64(r.Refused)/r.Seconds)
		}
		row("refused", "%d by a limit of the server%s: %s", r.Refused, rate, r.FirstError)
	}
	if r.Operations > 0 {
		row(operations[r.Mode], "%d, %.0f/s", r.Operations, r.PerSecond)
	}
	if r.Fired > 0 {
		row("broadcasts", "%d asked for, %d deliveries missing", r.Fired, r.Missing)
	}
	printProcess(row, "server", r.Server)
	printProcess(row, "client", r.Client)
	if r.ClientSaturated {
		row("note", "the client used most of this machine: put it on another one, or on several")
	}
	if r.Opening != nil || r.Latency != nil {
		fmt.Fprintln(t, "\nlatency, ms\tp50\tp99\tp99.9\tmax")
	}
	printLatency(t, "opening", r.Opening)
	printLatency(t, operations[r.Mode], r.Latency)
}

func printProcess(row func(name, format string, values ...any), name string, p *loadgen.Process) {
	if p == nil {
		return
	}
	row(name+" CPU", "%.2f s (%.2f user, %.2f system), %.0f %% of a core", p.CPUSeconds, p.UserSeconds, p.SystemSeconds, p.Cores*100)
	if p.MicrosPerOperation > 0 {
		row("", "%.1f µs each", p.MicrosPerOperation)
	}
	row(name+" memory", "%.1f MB", float64(p.ResidentBytes)/1e6)
	if p.BytesPerConnection != 0 {
		row("", "%.0f bytes per connection", p.BytesPerConnection)
	}
}

func printLatency(w io.Writer, name string, l *loadgen.Latency) {
	if l == nil {
		return
	}
	fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", name, millis(l.P50), millis(l.P99), millis(l.P999), millis(l.Max))
}

func millis(micros float64) string { return fmt.Sprintf("%.2f", micros/1e3) }
