package endpoint

import (
	"time"

	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/transports"
)

// Recommended returns the options that the program gateway uses, where the zero Options have
// SignalR's defaults:
//
//   - Policy learns which transports work in a client's network. Endpoints with the same
//     returned value learn together.
//   - PollTimeout is 25 s. It is shorter than the time for which proxies wait for an answer:
//     30 s in HAProxy's examples, 60 s by default in nginx, Apache and Varnish.
//   - Events are served at {path}/events, and the last 1,000 are kept for clients that
//     reconnect. Diagnose serves its page.
//   - CloseOnAuthenticationExpiration and EnableAuthenticationRefresh are set.
func Recommended() Options {
	return Options{
		Options:                         transports.Options{PollTimeout: 25 * time.Second},
		Policy:                          negotiate.NewEvidence(negotiate.EvidenceOptions{}),
		Events:                          Events{Enabled: true, History: 1000},
		Diagnose:                        true,
		CloseOnAuthenticationExpiration: true,
		EnableAuthenticationRefresh:     true,
	}
}
