package negotiate_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/transports"
)

// gossipAll tells what each process has learned to all others.
func gossipAll(all []*negotiate.Evidence) {
	for _, e := range all {
		gossip(e, all)
	}
}

// A probe shows at one process that event streams do not reach a client. The other processes refuse
// the next one, too.
func TestRefusalAtAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refuses := func(o *offered) bool { return o.Observer.(transports.Guide).Refuses(sse0) }
		all, r := processes(3), from("192.0.2.1:1", chrome)
		o := ofEvidence(all[0], r)
		o.saw(transports.Stripped, ws0)
		elapse(2 * time.Second)
		o.saw(transports.Unseen, sse0)
		elapse(time.Millisecond)
		gossipAll(all)
		for _, again := range []bool{false, true} {
			for i, e := range all[1:] {
				elapse(time.Millisecond)
				if o := expectOrder(t, e, r, "LWS"); refuses(o) == again {
					t.Errorf("process %d, again %v: refused %v", i+1, again, !again)
				}
			}
			o.saw(transports.Stripped, ws0) // all[0] tells again that the client does not see event streams
			gossipAll(all)
		}
		o = ofEvidence(all[0], r)
		o.saw(transports.Unseen, sse0)
		elapse(3 * time.Second)
		gossipAll(all)
		if refuses(ofEvidence(all[1], r)) {
			t.Error("refused after three seconds")
		}
	})
}

// A client that sees the answer of a probe negotiates again at another process. The proxy does not
// notice that it has left the probe, which shows nothing.
func TestProbeSeenAtAnotherProcess(t *testing.T) {
	for name, early := range map[string]bool{"before the others know that WebSockets fail": false, "after that": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, r := processes(4), from("192.0.2.1:1", chrome)
				first := ofEvidence(all[0], r)
				first.saw(transports.Stripped, ws0)
				elapse(time.Millisecond)
				if early {
					gossipAll(all)
				}
				second := ofEvidence(all[1], r)
				o := &offered{Offer: negotiate.Offer{Observer: moved(all[2], r, second.Observer)}, r: r}
				second.saw(transports.Moved, "")
				o.saw(transports.Opened, sse0)
				elapse(time.Second)
				gossipAll(all)
				elapse(time.Second)
				first.saw(transports.Unseen, sse0)
				gossipAll(all)
				for _, e := range all {
					if expectOrder(t, e, r, "SLW").Observer.(transports.Guide).Refuses(sse0) {
						t.Error("event streams are refused")
					}
				}
			})
		})
	}
}

// The first transport of a client does not arrive, and the client gives up. It negotiates again at
// another process.
func TestNegotiationThatWaitsAtAnotherProcess(t *testing.T) {
	for name, c := range map[string]struct {
		agent  string
		first  func(o *offered) // after 2.4 s
		second func(o *offered) // when the others know that it waits
		last   bool             // the next negotiation is at the home
		want   string
	}{
		"given up":                  {agent: chrome, want: "SLW"},
		"given up, home again":      {agent: chrome, last: true, want: "SLW"},
		"an unknown client":         {agent: "curl/8", want: "WSL"},
		"opened in time":            {agent: chrome, first: func(o *offered) { o.saw(transports.Opened, ws0) }, want: "WSL"},
		"moved in time":             {agent: chrome, first: func(o *offered) { o.saw(transports.Moved, "") }, want: "WSL"},
		"opened late":               {agent: chrome, second: func(o *offered) { o.saw(transports.Opened, ws0) }, want: "WSL"},
		"moved late":                {agent: chrome, second: func(o *offered) { o.saw(transports.Moved, "") }, want: "WSL"},
		"counted at home meanwhile": {agent: chrome, second: func(o *offered) { o.saw(transports.Unclaimed, "") }, want: "SLW"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, r := processes(3), from("192.0.2.1:1", c.agent)
				o := ofEvidence(all[0], r)
				elapse(2400 * time.Millisecond)
				if gossip(all[0], all) {
					t.Error("told too early")
				}
				if c.first != nil {
					c.first(o)
				}
				elapse(time.Second)
				if told := gossip(all[0], all); told != (c.agent == chrome && c.first == nil) {
					t.Errorf("told: %v", told)
				}
				if c.second != nil {
					c.second(o)
					gossipAll(all)
				}
				elapse(time.Second)
				next := all[1]
				if c.last {
					next = all[0]
				}
				expectOrder(t, next, r, c.want).saw(transports.Moved, "")
				gossipAll(all)
				gossipAll(all)
				o.saw(transports.Unclaimed, "")
				elapse(20 * time.Second)
				for _, e := range all {
					expectOrder(t, e, r, c.want).saw(transports.Moved, "")
				}
				gossipAll(all)
				elapse(15 * time.Minute) // a half-life: all processes have counted one failure
				for i, e := range all {
					if got := ofEvidence(e, r).order(); got != "WSL" {
						t.Errorf("process %d still offers %s", i, got)
					}
				}
			})
		})
	}
}

// A request for a negotiation of one process says nothing about that of another one.
func TestNegotiationsThatWaitAtTwoProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, r := processes(2), from("192.0.2.1:1", chrome)
		first := ofEvidence(all[0], r)
		elapse(time.Second)
		ofEvidence(all[1], r)
		elapse(2 * time.Second)
		gossip(all[0], all)
		first.saw(transports.Moved, "")
		gossip(all[0], all)
		elapse(time.Second)
		expectOrder(t, all[1], r, "SLW")
	})
}

// A process that ends cannot tell what became of its negotiations. The others forget them.
func TestNegotiationOfAProcessThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, r := processes(2), from("192.0.2.1:1", chrome)
		ofEvidence(all[0], r)
		elapse(3 * time.Second)
		gossip(all[0], all)
		elapse(15 * time.Second)
		expectOrder(t, all[1], r, "WSL")
		elapse(3 * time.Second)
		expectOrder(t, all[1], r, "SLW") // its own is remembered after that
	})
}

// A WebSocket that ends early without a byte counts if the next negotiation comes late, at any
// process, once, and not if a WebSocket has worked since at any process.
func TestDroppedWebSocketOfAnotherProcess(t *testing.T) {
	for name, c := range map[string]struct {
		between func(all []*negotiate.Evidence, r *http.Request)
		wait    time.Duration
		want    string
	}{
		"late":                   {nil, 3 * time.Second, "SLW"},
		"at once":                {nil, time.Second, "WSL"},
		"too late":               {nil, 6 * time.Minute, "WSL"},
		"another has worked":     {func(all []*negotiate.Evidence, r *http.Request) { use(all[2], r, ws0).saw(transports.Ended, ws0) }, 3 * time.Second, "WSL"},
		"another one, also late": {func(all []*negotiate.Evidence, r *http.Request) { drop(all[2], r, time.Millisecond) }, 3 * time.Second, "SLW"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, r := processes(3), from("192.0.2.1:1", chrome)
				drop(all[0], r, time.Millisecond)
				elapse(time.Millisecond)
				gossipAll(all)
				if c.between != nil {
					c.between(all, r)
					gossipAll(all)
				}
				elapse(c.wait)
				if c.want == "SLW" || c.wait > time.Second {
					expectOrder(t, all[1], r, c.want).saw(transports.Moved, "")
				}
				elapse(time.Millisecond)
				if told := gossip(all[1], all); told != (c.want == "SLW") && c.between == nil || told && c.want == "WSL" {
					t.Errorf("the next negotiation is news: %v", told)
				}
				gossipAll(all)
				for i, e := range all {
					elapse(time.Millisecond)
					o := ofEvidence(e, r)
					o.saw(transports.Moved, "")
					if got := o.order(); got != c.want {
						t.Errorf("process %d offers %s, want %s", i, got, c.want)
					}
				}
				gossipAll(all)
				elapse(15*time.Minute + time.Second) // a half-life: all processes have counted one failure at most
				for i, e := range all {
					if got := ofEvidence(e, r).order(); got != "WSL" {
						t.Errorf("process %d still offers %s", i, got)
					}
				}
			})
		})
	}
}

// However many clients open nothing, a process tells little at a time and keeps little.
func TestWaitingNegotiationsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := processes(2)
		for i := range 10_000 {
			ofEvidence(all[0], &http.Request{RemoteAddr: fmt.Sprintf("[2001:db8:%x::1]:1", i), Header: http.Header{"User-Agent": {chrome}}})
		}
		elapse(3 * time.Second)
		told := 0
		for news := all[0].News(); news != nil; news = all[0].News() {
			var verdicts []json.RawMessage
			if err := json.Unmarshal(news, &verdicts); err != nil || len(verdicts) > 128 {
				t.Fatalf("%d verdicts, %v", len(verdicts), err)
			}
			told += len(verdicts)
			all[1].Learn(news)
		}
		if told != 4096 || all[1].Networks() != told {
			t.Errorf("told %d, %d are known", told, all[1].Networks())
		}
	})
}
