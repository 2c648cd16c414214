package negotiate_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/signalr"
	"github.com/carillon-go/carillon/transports"
)

const (
	chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
	fox    = "Mozilla/5.0 (X11; Linux x86_64; rv:150.0) Gecko/20100101 Firefox/150.0"
	nodeJS = "Microsoft SignalR/10.0 (10.0.11; Unknown OS; NodeJS; v20.0.0)"
	dotNet = "Microsoft SignalR/10.0 (10.0.12; Linux; .NET; .NET 10.0.0)"
	javaVM = "Microsoft SignalR/10.0 (10.0.0; Linux; amd64; Java; 21; Oracle)"
)

// elapse lets fake time pass.
func elapse(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // in a bubble of synctest
}

func from(address, agent string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/hub/negotiate", nil)
	r.RemoteAddr = address
	r.Header.Set("User-Agent", agent)
	return r
}

// offered is one negotiation.
type offered struct {
	negotiate.Offer
	r *http.Request
}

func ofEvidence(p negotiate.Policy, r *http.Request) *offered {
	o := &offered{Offer: negotiate.Offer{Transports: signalr.Transports()}, r: r}
	p.Offer(r, &o.Offer)
	return o
}

func (o *offered) saw(kind transports.EventKind, transport transports.Type) {
	e := transports.Event{Kind: kind, Transport: transport}
	if kind == transports.Stripped || kind == transports.Opened {
		e.Request = o.r
	}
	o.Observer.Observe(e)
}

func (o *offered) order() string {
	var initials strings.Builder
	for _, kind := range o.Transports {
		initials.WriteByte(string(kind)[0])
	}
	return initials.String()
}

// expectOrder negotiates and compares the initials of what is offered.
func expectOrder(t *testing.T, p negotiate.Policy, r *http.Request, want string) *offered {
	t.Helper()
	o := ofEvidence(p, r)
	if got := o.order(); got != want || (o.Reason != "") != (want != "WSL") {
		t.Errorf("offered %s (%s), want %s", got, o.Reason, want)
	}
	return o
}

const (
	ws0  = transports.WebSockets
	sse0 = transports.ServerSentEvents
	lp0  = transports.LongPolling
)

// What happened once decides what is offered next.
func TestEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		agent  string
		happen func(e *negotiate.Evidence, r *http.Request)
		want   string
	}{
		"nothing": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			o := ofEvidence(e, r)
			o.saw(transports.Opened, ws0)
			o.saw(transports.Proved, ws0)
		}, "WSL"},
		"stripped": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r).saw(transports.Stripped, ws0)
		}, "SLW"},
		"stripped, for Java": {javaVM, func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r).saw(transports.Stripped, ws0)
		}, "SL"},
		"never came back": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r).saw(transports.Unclaimed, "")
		}, "SLW"},
		"refused on the way": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r)
			elapse(time.Millisecond)
			ofEvidence(e, r).saw(transports.Opened, sse0)
		}, "SLW"},
		"swallowed, and the page is loaded again": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r)
			elapse(3 * time.Second)
		}, "SLW"},
		"opened in another process, and the page is loaded again": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r).saw(transports.Moved, "")
			elapse(3 * time.Second)
		}, "WSL"},
		"offered by another process, and held": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			there := ofEvidence(negotiate.NewEvidence(negotiate.EvidenceOptions{}), r)
			elapse(time.Second)
			o := &offered{Offer: negotiate.Offer{Observer: moved(e, r, there.Observer)}, r: r}
			o.saw(transports.Opened, sse0)
			o.saw(transports.Held, sse0)
		}, "WLS"},
		"refused on the way from another process": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r)
			elapse(time.Millisecond)
			there := ofEvidence(negotiate.NewEvidence(negotiate.EvidenceOptions{}), r)
			o := &offered{Offer: negotiate.Offer{Observer: moved(e, r, there.Observer)}, r: r}
			o.saw(transports.Opened, sse0)
		}, "SLW"},
		"asked for by hand": {"curl/8.5.0", func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r).saw(transports.Unclaimed, "")
			ofEvidence(e, r)
			elapse(3 * time.Second)
		}, "WSL"},
		"another one at the same time": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r)
			elapse(time.Second)
		}, "WSL"},
		"wants nothing else": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r).saw(transports.Opened, sse0)
		}, "WSL"},
		"held": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			o := ofEvidence(e, r)
			o.saw(transports.Opened, sse0)
			o.saw(transports.Held, sse0)
		}, "WLS"},
		"stripped and held": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r).saw(transports.Stripped, ws0)
			ofEvidence(e, r).saw(transports.Held, sse0)
		}, "LWS"},
		"the answer to a handshake is not seen": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			o := ofEvidence(e, r)
			o.saw(transports.Stripped, ws0)
			o.saw(transports.Unseen, sse0)
		}, "LWS"},
		"the answer to a handshake is seen": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			o := ofEvidence(e, r)
			elapse(time.Millisecond)
			ofEvidence(e, r)
			o.saw(transports.Unseen, sse0)
		}, "WSL"},
		"mute": {nodeJS, func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r).saw(transports.Mute, sse0)
		}, "WLS"},
		"mute, of a client that does not ping at once": {dotNet, func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r).saw(transports.Mute, sse0)
		}, "WSL"},
		"nothing came over it, and the client waited": {nodeJS, func(e *negotiate.Evidence, r *http.Request) {
			drop(e, r, 0)
			elapse(3 * time.Second)
		}, "SLW"},
		"nothing came over it for long": {nodeJS, func(e *negotiate.Evidence, r *http.Request) { drop(e, r, 3*time.Second) }, "SLW"},
		"nothing came over two":         {nodeJS, func(e *negotiate.Evidence, r *http.Request) { drop(e, r, 0); drop(e, r, 0) }, "SLW"},
		"the user left the page":        {chrome, func(e *negotiate.Evidence, r *http.Request) { drop(e, r, 0) }, "WSL"},
		"the user left the site":        {chrome, func(e *negotiate.Evidence, r *http.Request) { drop(e, r, 0); elapse(time.Hour) }, "WSL"},
		"the user left two pages, others stay": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			use(e, r, ws0)
			elapse(3 * time.Hour)
			for range 4 {
				drop(e, r, 0)
				elapse(3 * time.Second)
			}
		}, "WSL"},
		"the user left a page, and came back": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			drop(e, r, 0)
			use(e, r, ws0).saw(transports.Ended, ws0)
			elapse(time.Minute)
			drop(e, r, 0)
		}, "WSL"},
		"insists on what fails": {nodeJS, func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r).saw(transports.Stripped, ws0)
			for range 4 {
				ofEvidence(e, r).saw(transports.Unclaimed, "")
				ofEvidence(e, r)
				elapse(3 * time.Second)
			}
		}, "SLW"},
		"never came back, while another one works": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			use(e, r, ws0)
			elapse(time.Hour)
			for range 4 {
				ofEvidence(e, r).saw(transports.Unclaimed, "")
				ofEvidence(e, r)
				elapse(3 * time.Second)
			}
		}, "WSL"},
		"never came back, and another one came and went meanwhile": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			o := ofEvidence(e, r)
			elapse(time.Second)
			use(e, r, ws0).saw(transports.Ended, ws0)
			o.saw(transports.Unclaimed, "")
		}, "WSL"},
		"opens another transport, while the first works for others": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			use(e, r, ws0)
			elapse(time.Hour)
			ofEvidence(e, r)
			elapse(time.Millisecond)
			ofEvidence(e, r).saw(transports.Opened, sse0)
		}, "WSL"},
		"worked long ago, and never came back": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			use(e, r, ws0).saw(transports.Ended, ws0)
			elapse(time.Hour)
			ofEvidence(e, r).saw(transports.Unclaimed, "")
		}, "SLW"},
		"works for many who have been there for long, failed for one": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			for range 3 {
				use(e, r, ws0)
			}
			elapse(3 * time.Hour)
			for range 3 {
				ofEvidence(e, r).saw(transports.Stripped, ws0)
			}
		}, "WSL"},
		"worked for several, failed for one": {chrome, func(e *negotiate.Evidence, r *http.Request) {
			for range 3 {
				ofEvidence(e, r).saw(transports.Proved, ws0)
			}
			ofEvidence(e, r).saw(transports.Stripped, ws0)
		}, "WSL"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := negotiate.NewEvidence(negotiate.EvidenceOptions{})
				r := from("192.0.2.1:1", c.agent)
				c.happen(e, r)
				expectOrder(t, e, r, c.want)
			})
		})
	}
}

// drop opens a WebSocket over which nothing comes until it ends, after a while.
func drop(e *negotiate.Evidence, r *http.Request, after time.Duration) {
	o := ofEvidence(e, r)
	o.saw(transports.Opened, ws0)
	elapse(after)
	o.saw(transports.Held, ws0)
	o.saw(transports.Ended, ws0)
}

// use opens a connection and proves it; it stays.
func use(e *negotiate.Evidence, r *http.Request, kind transports.Type) *offered {
	o := ofEvidence(e, r)
	o.saw(transports.Opened, kind)
	o.saw(transports.Proved, kind)
	return o
}

// Where a client could have wanted a transport that is not offered, one who opens nothing
// shows nothing; where WebSockets are not offered none do.
func TestEvidenceOfPartialOffers(t *testing.T) {
	for name, c := range map[string]struct {
		offer  []transports.Type
		absent int // negotiations that are not followed by a request
		want   string
	}{
		"WebSockets, once":  {[]transports.Type{ws0, lp0}, 1, "WL"},
		"WebSockets, twice": {[]transports.Type{ws0, lp0}, 2, "LW"},
		"event streams":     {[]transports.Type{sse0, lp0}, 8, "SL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e, r := negotiate.NewEvidence(negotiate.EvidenceOptions{}), from("192.0.2.1:1", nodeJS)
				offer := func() *offered {
					o := &offered{Offer: negotiate.Offer{Transports: slices.Clone(c.offer)}, r: r}
					e.Offer(r, &o.Offer)
					return o
				}
				for range c.absent {
					offer()
					elapse(3 * time.Second)
				}
				if got := offer().order(); got != c.want {
					t.Errorf("offered %s, want %s", got, c.want)
				}
			})
		})
	}
}

// A browser has six connections to a host over HTTP/1.1. When its tabs use them up a handshake
// waits in the browser, which looks like an event stream that is held back.
func TestEvidenceOfManyTabs(t *testing.T) {
	for name, c := range map[string]struct {
		agent   string
		streams int // event streams that work
		polls   int // connections of long polling that work
		want    string
	}{
		"five streams":                {chrome, 5, 0, "SLW"},
		"a stream and polls":          {chrome, 1, 4, "SLW"},
		"a stream and fewer polls":    {chrome, 1, 3, "LWS"},
		"polls":                       {chrome, 0, 5, "LWS"}, // perhaps because streams are held back
		"a stream and polls, in Node": {nodeJS, 1, 4, "LWS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, r := negotiate.NewEvidence(negotiate.EvidenceOptions{}), from("192.0.2.1:1", c.agent)
			ofEvidence(e, r).saw(transports.Stripped, ws0)
			for range c.streams {
				use(e, r, sse0)
			}
			for range c.polls {
				use(e, r, lp0)
			}
			for range 3 {
				o := ofEvidence(e, r)
				o.saw(transports.Opened, sse0)
				o.saw(transports.Held, sse0)
				o.saw(transports.Ended, sse0)
			}
			expectOrder(t, e, r, c.want)
		})
	}
}

// What has ended counts for nothing, and a connection counts once, whatever else is said of it.
func TestEvidenceOfConnectionsThatEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, r := negotiate.NewEvidence(negotiate.EvidenceOptions{}), from("192.0.2.1:1", chrome)
		o := use(e, r, ws0)
		o.saw(transports.Proved, ws0)
		stripped := transports.Event{Kind: transports.Stripped, Transport: ws0, Request: from("192.0.2.66:1", chrome)}
		o.Observer.Observe(stripped) // by somebody else who has the token
		use(e, r, ws0).saw(transports.Ended, ws0)
		o.saw(transports.Ended, ws0)
		o.saw(transports.Proved, ws0) // a late one
		elapse(3 * time.Hour)
		ofEvidence(e, r).saw(transports.Stripped, ws0)
		expectOrder(t, e, r, "SLW")
	})
}

// Evidence is about who produced it.
func TestEvidenceOfOthers(t *testing.T) {
	e := negotiate.NewEvidence(negotiate.EvidenceOptions{})
	ofEvidence(e, from("192.0.2.1:1", chrome)).saw(transports.Stripped, ws0)
	ofEvidence(e, from("[2001:db8::1]:1", chrome)).saw(transports.Stripped, ws0)
	for _, c := range []struct{ address, agent, want string }{
		{"192.0.2.1:2", chrome, "SLW"},
		{"[::ffff:192.0.2.1]:2", chrome, "SLW"},
		{"192.0.2.1:2", fox, "WSL"},
		{"192.0.2.2:1", chrome, "WSL"},
		{"[2001:db8::2]:1", chrome, "SLW"},
		{"[2001:db8:0:1::1]:1", chrome, "WSL"},
		{"@", chrome, "WSL"}, // a Unix socket
	} {
		expectOrder(t, e, from(c.address, c.agent), c.want)
	}

	// Another network's connection, of which one address has the token.
	o := ofEvidence(e, from("192.0.2.3:1", chrome))
	o.Observer.Observe(transports.Event{Kind: transports.Stripped, Transport: ws0, Request: from("192.0.2.66:1", chrome)})
	expectOrder(t, e, from("192.0.2.3:1", chrome), "WSL")
	expectOrder(t, e, from("192.0.2.66:1", chrome), "SLW")
}

// A network that was mended gets WebSockets back; one that was not is asked again ever
// more seldom.
func TestEvidenceFades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := negotiate.NewEvidence(negotiate.EvidenceOptions{HalfLife: time.Minute})
		r := from("192.0.2.1:1", chrome)
		ofEvidence(e, r).saw(transports.Stripped, ws0)
		elapse(50 * time.Second)
		expectOrder(t, e, r, "SLW").saw(transports.Opened, sse0)
		elapse(11 * time.Second)
		expectOrder(t, e, r, "WSL").saw(transports.Stripped, ws0)
		elapse(61 * time.Second)
		expectOrder(t, e, r, "SLW").saw(transports.Opened, sse0)
		elapse(61 * time.Second)
		o := expectOrder(t, e, r, "WSL")
		o.saw(transports.Opened, ws0)
		o.saw(transports.Proved, ws0)
		ofEvidence(e, r).saw(transports.Stripped, ws0) // once
		expectOrder(t, e, r, "WSL")
	})
}

// One cut is believed at once and soon forgotten; a longer silence disproves it, and what
// was seen twice is not given up for a client that left.
func TestSilence(t *testing.T) {
	const s = time.Second
	for name, c := range map[string]struct {
		cuts []time.Duration
		wait time.Duration
		want time.Duration
	}{
		"none":                 {nil, 0, 0},
		"once":                 {[]time.Duration{10 * s}, 14 * time.Minute, 10 * s},
		"once, long ago":       {[]time.Duration{10 * s}, 16 * time.Minute, 0},
		"twice, long ago":      {[]time.Duration{10*s + 100*time.Millisecond, 10 * s}, 29 * time.Minute, 10 * s},
		"in the middle of it":  {[]time.Duration{s}, 0, 0},
		"a longer silence":     {[]time.Duration{9 * s, 10 * s, 14 * s}, 0, 14 * s},
		"left, then cut":       {[]time.Duration{14 * s, 10 * s}, 0, 10 * s},
		"cut twice, then left": {[]time.Duration{10 * s, 10 * s, 8 * s}, 0, 10 * s},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := negotiate.NewEvidence(negotiate.EvidenceOptions{})
				r := from("192.0.2.1:1", chrome)
				for _, d := range c.cuts {
					o := ofEvidence(e, r)
					o.saw(transports.Opened, ws0)
					o.Observer.Observe(transports.Event{Kind: transports.Cut, Transport: ws0, Silence: d})
				}
				elapse(c.wait)
				if o := ofEvidence(e, r); o.SilenceLimit != c.want || (o.Reason != "") != (c.want > 0) {
					t.Errorf("%v (%s), want %v", o.SilenceLimit, o.Reason, c.want)
				}
			})
		})
	}
}

func TestRulesAboveEvidence(t *testing.T) {
	e := negotiate.NewEvidence(negotiate.EvidenceOptions{})
	rules := negotiate.Rules{{Network: netip.MustParsePrefix("192.0.2.0/24"), Transports: []transports.Type{ws0, lp0}}}
	p := negotiate.Policies{rules, e}
	r := from("192.0.2.1:1", chrome)
	ofEvidence(p, r).saw(transports.Stripped, ws0)
	if o := ofEvidence(p, r); o.order() != "WL" || !strings.HasPrefix(o.Reason, "rule for ") {
		t.Error(o.order(), o.Reason)
	}
}

// However many networks there are, they cost what the bound costs.
func TestEvidenceIsBounded(t *testing.T) {
	const most = 1 << 12
	e := negotiate.NewEvidence(negotiate.EvidenceOptions{MaxNetworks: most})
	visit := func(from, to int) {
		for i := from; i < to; i++ {
			r := &http.Request{RemoteAddr: fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255), Header: http.Header{}}
			ofEvidence(e, r).saw(transports.Stripped, ws0)
		}
	}
	visit(0, most)
	before := heap()
	visit(most, 100_000)
	if n := e.Networks(); n != most {
		t.Errorf("%d networks are remembered, not %d", n, most)
	}
	if grown := heap() - before; grown > 1<<20 {
		t.Errorf("%d bytes more than with %d networks", grown, most)
	}
	expectOrder(t, e, &http.Request{RemoteAddr: "10.1.134.159:1"}, "SLW") // the last
	expectOrder(t, e, &http.Request{RemoteAddr: "10.0.0.0:1"}, "WSL")     // the first
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
