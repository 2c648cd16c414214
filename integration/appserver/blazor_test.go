//go:build linux

package appserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/carillon-go/carillon/integration/clients"
	"github.com/carillon-go/carillon/integration/middlebox"
)

// The counter of a page of Blazor Server counts in Chromium: over a WebSocket, over long polling, and
// through boxes that break WebSockets.
func TestBlazorServer(t *testing.T) {
	for _, c := range []struct {
		name, without, box string
		socket             bool
	}{
		{name: "WebSocket", socket: true},
		{name: "long polling", without: "WebSocket"},
		{name: "a box that strips the upgrade", box: "B-strip"},
		{name: "nginx as it is installed", box: "N1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			program := reference(t, "aspnet")
			g := startGateway(t)
			if c.box != "" {
				kind, err := middlebox.ByName(c.box)
				if err != nil {
					t.Fatal(err)
				}
				g.public = kind.Start(t, g.Addr).URL
			}
			a := g.application(t, program, "blazor")
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			command := clients.Node(ctx, t, "blazor.js", "CHROMIUM="+clients.FindChromium(t), "URL="+a.url, "WITHOUT="+c.without)
			var said bytes.Buffer
			command.Stderr = &said
			out, err := command.Output()
			var page struct {
				Counts       []int
				Socket, Poll int
			}
			if err == nil {
				err = json.Unmarshal(out, &page)
			}
			if err != nil || len(page.Counts) != 5 || (page.Socket > 0) != c.socket || (page.Poll > 0) == c.socket {
				t.Errorf("%v, %s\n%s", err, out, &said)
			}
		})
	}
}
