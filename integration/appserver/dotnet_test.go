//go:build linux

package appserver_test

import (
	"flag"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/integration/clients"
)

var runs = flag.Int("appserver-runs", 1, "how often the checks of the .NET client run")

// notApplicable are the checks of the .NET client that cannot pass behind a service that holds the
// clients, by the reason. With = it is the whole name of a check.
var notApplicable = map[string][]string{
	"the SDK gives hubs no feature with the transport":              {"=transport-name", "default-transport", "fallback-"},
	"the SDK does not apply the transports of MapHub":               {"=websocket-only-refused"},
	"the service judges the version of the handshake":               {"=error-handshake-version"},
	"the text is the SDK's":                                         {"=client-result-disconnect"},
	"the client is cut off from the application, which it has left": {"=reconnect", "=reconnect-after-fin", "=reconnect-later", "=reconnect-gives-up", "=reconnect-not-asked", "=client-timeout-on-server"},
	"the service has no stateful reconnect for applications":        {"stateful"},
	"the client redirects itself and starts another request":        {"=headers", "=skip-negotiation"},
	"the service neither passes nor sets cookies":                   {"=cookie-from-server", "=cookie-from-client"},
}

// The checks of the official .NET client pass against applications on .NET 10 and 11 whose clients
// the program holds, over all transports and protocols.
func TestDotNetClientOfAnApplication(t *testing.T) {
	var skip []string
	for _, names := range notApplicable {
		skip = append(skip, names...)
	}
	for _, name := range []string{"aspnet", "aspnet11"} {
		t.Run(name, func(t *testing.T) {
			program := reference(t, name)
			a := startGateway(t).application(t, program, "testhub")
			for range *runs {
				n, failed := clients.RunDotNet(t, program, "client", a.url, "--skip", strings.Join(skip, ","))
				if len(failed) > 0 { // the SDK loses a client's result that arrives before it has noted its question
					_, failed = clients.RunDotNet(t, program, "client", a.url, "--filter", strings.Join(failed, ","), "--skip", strings.Join(skip, ","))
				}
				if n < 300 || len(failed) > 0 {
					t.Errorf("%d runs, failed twice: %v", n, failed)
				}
			}
		})
	}
}
