package gateway

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/carillon-go/carillon/internal/hubfile"
)

// Check returns all errors of the settings and of the files that they name. It opens no network
// connection.
func (c *Config) Check() error {
	err := c.Validate()
	if _, unread := c.prepare(nil); unread != nil {
		err = errors.Join(err, unread)
	}
	return err
}

// Summary prints what the settings serve, and what of it is open to everybody.
func (c *Config) Summary(w io.Writer) {
	if c.servesClock() {
		fmt.Fprintf(w, "There are no hubs: the clock is served at %s.\n", c.Path)
		return
	}
	if len(c.Hubs) == 0 {
		fmt.Fprintln(w, "The file names no hubs: application servers make them with the access key.")
		return
	}
	t := tabwriter.NewWriter(w, 0, 8, 3, ' ', 0)
	fmt.Fprintln(t, "HUB\tPATH\tCLIENTS\tINVOKE\tPUBLISHING")
	var open, unanswered []string
	for i := range c.Hubs {
		h := &c.Hubs[i]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", h.Name, c.pathOf(h), c.describeClients(h), describeInvoke(h), c.describeKeys(h))
		if c.admission(h) == "anonymous" {
			open = append(open, h.Name)
		}
		if len(h.Invoke) > 0 && len(h.Upstream) == 0 {
			unanswered = append(unanswered, h.Name)
		}
	}
	_ = t.Flush()
	if len(open) > 0 {
		fmt.Fprintf(w, "\nEverybody may connect to %s and read what is sent to all.\n", strings.Join(open, ", "))
	}
	if reason := c.oneNode(); reason != "" {
		fmt.Fprintf(w, "\nIn this cluster, %s.\n", reason)
	}
	if len(unanswered) > 0 {
		fmt.Fprintf(w, "\nNothing answers the methods that clients may invoke of %s: there is no upstream.\n", strings.Join(unanswered, ", "))
	}
}

func (c *Config) pathOf(h *hubfile.Hub) string {
	if c.admission(h) == "none" {
		return "/client/?hub=" + h.Name
	}
	return h.Path
}

// describeClients returns who may connect to a hub, in words.
func (c *Config) describeClients(h *hubfile.Hub) string {
	who := map[string]string{"anonymous": "everybody", "jwt": "bearer token", "connect": "the backend decides"}[c.admission(h)]
	if c.hasAccessKeys(h) {
		who = strings.TrimPrefix(who+", or token of the access key", ", or ")
	}
	return who
}

// describeInvoke returns which methods clients may invoke, in words.
func describeInvoke(h *hubfile.Hub) string {
	if h.Servers != nil {
		return "application servers"
	}
	return cmp.Or(strings.Join(hubOptions(h).Invoke, ", "), "nothing")
}

// describeKeys returns what publishing to a hub needs, in words.
func (c *Config) describeKeys(h *hubfile.Hub) string {
	var keys []string
	if c.hasAccessKeys(h) {
		keys = append(keys, "access key")
	}
	if h.APIKeyFile != "" || h.AccessKeyFile == "" && c.APIKeyFile != "" {
		keys = append(keys, "API key")
	}
	return cmp.Or(strings.Join(keys, ", "), "off")
}
