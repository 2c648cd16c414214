package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"github.com/carillon-go/carillon/internal/doctor"
)

// doctorCommand examines the path to a hub.
type doctorCommand struct {
	URL      string            `arg:"" help:"URL of the hub, for example http://localhost:8080/hubs/clock."`
	Idle     time.Duration     `env:"-" default:"12s" help:"Time of silence, to find connections that are cut: 0s to 120s. Firewalls often cut after 10 s, HAProxy after 30, nginx, Apache and Varnish after 60."`
	Token    string            `env:"CARILLON_TOKEN" help:"Bearer token. Other users of this machine can read a command line, so set the variable instead."`
	Header   map[string]string `env:"-" mapsep:"none" placeholder:"NAME=VALUE" help:"Header of every request; may be repeated."`
	Insecure bool              `env:"-" help:"Continue if the certificate is not trusted."`
	JSON     bool              `env:"-" name:"json" help:"Print the result as one JSON object."`
}

// Help is shown below the flags.
func (*doctorCommand) Help() string {
	return "It uses the proxy of HTTP_PROXY, HTTPS_PROXY and NO_PROXY. Exit status: 0: every offered transport works. 1: clients connect, but a transport is refused, late, buffered or cut. 2: no transport works, or the URL or a flag is wrong."
}

const longestIdle = 2 * time.Minute

// Validate is called by kong.
func (c *doctorCommand) Validate() error {
	if c.Idle < 0 || c.Idle > longestIdle {
		return fmt.Errorf("--idle: %v is not between 0s and %v", c.Idle, longestIdle)
	}
	return nil
}

// statuses are the exit codes.
var statuses = map[doctor.Verdict]exitStatus{doctor.Well: 0, doctor.Fallback: 1, doctor.Nothing: 2}

// Run prints the report. Its error is the exit status.
func (c *doctorCommand) Run(ctx context.Context, k *kong.Context) error {
	ctx, stop := endOnHangup(ctx)
	defer stop()
	o := doctor.Options{URL: c.URL, Idle: c.Idle, Token: c.Token, InsecureTLS: c.Insecure, Header: http.Header{},
		Progress: func(step string) { fmt.Fprintln(k.Stderr, step) }}
	for name, value := range c.Header {
		o.Header.Set(name, value)
	}
	report, err := doctor.Examine(ctx, o)
	if err != nil { // about the URL
		fmt.Fprintln(k.Stderr, "gateway:", err)
		return exitStatus(exitUsage)
	}
	if c.JSON {
		encoder := json.NewEncoder(k.Stdout)
		encoder.SetEscapeHTML(false) // keeps the lines of configuration readable
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		printExamination(k.Stdout, report)
	}
	if status := statuses[report.Verdict]; err == nil && status != exitOK {
		err = status
	}
	return err
}

// verdicts explains each verdict.
var verdicts = map[doctor.Verdict]string{
	doctor.Well:     "all is well",
	doctor.Fallback: "clients connect, but not as well as they might",
	doctor.Nothing:  "nothing works",
}

// printExamination prints the report as text.
func printExamination(w io.Writer, r *doctor.Report) {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if len(r.Transports) > 0 {
		fmt.Fprintln(t, "transport\tconnects\tfirst event\tdelay\tsilence")
	}
	for _, transport := range r.Transports {
		fmt.Fprintln(t, transportRow(transport))
	}
	_ = t.Flush() // an error here could not be printed
	fmt.Fprintln(w)
	if len(r.Negotiate.Offered) > 0 {
		fmt.Fprintf(w, "offered: %s (%s, %.0f ms)\n", strings.Join(r.Negotiate.Offered, ", "), r.Negotiate.HTTP, r.Negotiate.Millis)
	}
	if r.Negotiate.Reason != "" {
		fmt.Fprintf(w, "because: %s\n", r.Negotiate.Reason)
	}
	if r.Proxy != "" {
		fmt.Fprintf(w, "proxy of the environment: %s\n", r.Proxy)
	}
	if r.TLS != nil {
		fmt.Fprintf(w, "certificate: %s, issued by %s%s\n", r.TLS.Subject, r.TLS.Issuer, map[bool]string{false: ", not trusted here"}[r.TLS.Trusted])
	}
	printBoxes(w, r.Boxes)
	for _, f := range r.Findings {
		fmt.Fprintf(w, "found: %s\n", f.Text)
	}
	for _, a := range r.Advice {
		printAdvice(w, a)
	}
	fmt.Fprintf(w, "\n%s", verdicts[r.Verdict])
	if r.Best != "" {
		fmt.Fprintf(w, "; best by %s", r.Best)
	}
	fmt.Fprintln(w)
}

// printBoxes prints a line for each kind of box.
func printBoxes(w io.Writer, boxes []doctor.Box) {
	for i, b := range boxes {
		if slices.ContainsFunc(boxes[:i], func(other doctor.Box) bool { return other.Kind == b.Kind }) {
			continue
		}
		var evidence []string
		for _, other := range boxes[i:] {
			if other.Kind == b.Kind {
				evidence = append(evidence, other.Evidence)
			}
		}
		fmt.Fprintf(w, "on the way: %s (%s)\n", b.Kind, strings.Join(evidence, "; "))
	}
}

func printAdvice(w io.Writer, a doctor.Advice) {
	switch {
	case a.Box == "":
		fmt.Fprintf(w, "\n%s\n", a.Text)
	case a.Guess:
		fmt.Fprintf(w, "\nif it is %s: %s\n", a.Box, a.Text)
	default:
		fmt.Fprintf(w, "\n%s: %s\n", a.Box, a.Text)
	}
	for _, line := range a.Lines {
		fmt.Fprintf(w, "    %s\n", line)
	}
}

func transportRow(t *doctor.Transport) string {
	if !t.Works {
		row := t.Name + "\tno\t\t\t"
		if t.Buffered {
			row = t.Name + "\tbuffered\t\t\t"
		}
		return row
	}
	row := fmt.Sprintf("%s\t%.0f ms\t%.0f ms\t%.0f ms, at most %.0f\t", t.Name, t.Connect, t.FirstEvent, t.Delay, t.DelayMax)
	switch {
	case t.CutAfter > 0:
		row += fmt.Sprintf("cut after %.0f s", t.CutAfter)
	case t.IdleSeconds > 0:
		row += fmt.Sprintf("%.0f s and still there", t.IdleSeconds)
		if t.SilentSeconds < t.IdleSeconds/2 {
			row += fmt.Sprintf(", silent for %.0f s at a time", t.SilentSeconds)
		}
	}
	return row
}
