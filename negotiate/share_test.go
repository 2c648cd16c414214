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

// processes returns evidence of processes that share it.
func processes(n int) (all []*negotiate.Evidence) {
	for range n {
		e := negotiate.NewEvidence(negotiate.EvidenceOptions{})
		e.News()
		all = append(all, e)
	}
	return all
}

// gossip tells all others what one process has learned, and reports whether that was anything.
func gossip(from *negotiate.Evidence, all []*negotiate.Evidence) bool {
	news := from.News()
	for _, e := range all {
		if e != from {
			e.Learn(news)
		}
	}
	return news != nil
}

// What one process has learned decides what the others offer, for as long as there.
func TestEvidenceOfOtherProcesses(t *testing.T) {
	for name, c := range map[string]struct {
		happen func(e *negotiate.Evidence, r *http.Request)
		want   string
	}{
		"nothing":  {func(e *negotiate.Evidence, r *http.Request) { use(e, r, ws0) }, "WSL"},
		"stripped": {func(e *negotiate.Evidence, r *http.Request) { ofEvidence(e, r).saw(transports.Stripped, ws0) }, "SLW"},
		"held": {func(e *negotiate.Evidence, r *http.Request) {
			o := ofEvidence(e, r)
			o.saw(transports.Opened, sse0)
			o.saw(transports.Held, sse0)
		}, "WLS"},
		"never came back":   {func(e *negotiate.Evidence, r *http.Request) { ofEvidence(e, r).saw(transports.Unclaimed, "") }, "SLW"},
		"nothing came over": {func(e *negotiate.Evidence, r *http.Request) { drop(e, r, 3*time.Second) }, "SLW"},
		"stripped and held": {func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r).saw(transports.Stripped, ws0)
			ofEvidence(e, r).saw(transports.Held, sse0)
		}, "LWS"},
		"stripped once, and works": {func(e *negotiate.Evidence, r *http.Request) {
			ofEvidence(e, r).saw(transports.Stripped, ws0)
			use(e, r, ws0)
		}, "WSL"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, r := processes(3), from("192.0.2.1:1", chrome)
				c.happen(all[0], r)
				elapse(4 * time.Second) // negotiations soon after a failure are news
				told := gossip(all[0], all)
				if told != (name != "nothing") {
					t.Errorf("told %v", told)
				}
				for i, e := range all {
					expectOrder(t, e, r, c.want).saw(transports.Moved, "")
					expectOrder(t, e, from("192.0.2.1:1", fox), "WSL").saw(transports.Moved, "")
					expectOrder(t, e, from("192.0.2.2:1", chrome), "WSL").saw(transports.Moved, "")
					if gossip(e, nil) {
						t.Errorf("process %d passes it on", i)
					}
				}
				elapse(15*time.Minute + time.Second) // the other processes do not begin to count when they hear of it
				for _, e := range all {
					expectOrder(t, e, r, "WSL").saw(transports.Moved, "")
				}
			})
		})
	}
}

// Failures at several processes add up to those that one process can count, however often they
// are told.
func TestFailuresOfSeveralProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, r := processes(4), from("192.0.2.1:1", chrome)
		for range 10 {
			for _, e := range all {
				ofEvidence(e, r).saw(transports.Stripped, ws0)
				for _, e := range all {
					gossip(e, all)
				}
			}
		}
		elapse(44 * time.Minute)
		for _, e := range all {
			expectOrder(t, e, r, "SLW").saw(transports.Moved, "")
		}
		elapse(2 * time.Minute) // three half-lives
		for _, e := range all {
			expectOrder(t, e, r, "WSL").saw(transports.Moved, "")
		}
	})
}

// The transport works at one process and has failed once at another, which does not know it: a
// client of the same address may have faked the failure. All offer the transport, in whatever order
// they hear of both.
func TestWorkingConnectionsRefuteOtherProcesses(t *testing.T) {
	for name, works := range map[string]func(e *negotiate.Evidence, r *http.Request){
		"open for hours": func(e *negotiate.Evidence, r *http.Request) { use(e, r, ws0); elapse(3 * time.Hour) },
		"used by many": func(e *negotiate.Evidence, r *http.Request) {
			for range 5 {
				use(e, r, ws0).saw(transports.Ended, ws0)
			}
		},
	} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", late), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					all, r := processes(3), from("192.0.2.1:1", chrome)
					works(all[0], r)
					ofEvidence(all[1], r).saw(transports.Stripped, ws0)
					elapse(time.Millisecond)
					failed := all[1].News()
					all[0].Learn(failed)
					refuted := all[0].News()
					elapse(time.Millisecond)
					all[1].Learn(refuted)
					told := []json.RawMessage{failed, refuted}
					if late {
						told[0], told[1] = refuted, failed
					}
					for _, news := range told {
						all[2].Learn(news)
					}
					if again := gossip(all[2], all); again != late {
						t.Errorf("the third process refutes the failure: %v", again)
					}
					elapse(4 * time.Second) // negotiations soon after a failure are news
					for i, e := range all {
						expectOrder(t, e, r, "WSL").saw(transports.Moved, "")
						if news := e.News(); news != nil {
							t.Errorf("process %d goes on: %s", i, news)
						}
					}
				})
			})
		}
	}
}

// A success at one process makes up for an earlier failure at another one, and not for a later
// one.
func TestSuccessAtAnotherProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, r := processes(3), from("192.0.2.1:1", chrome)
		ofEvidence(all[0], r).saw(transports.Stripped, ws0)
		gossip(all[0], all)
		elapse(time.Second)
		use(all[1], r, ws0).saw(transports.Ended, ws0)
		gossip(all[1], all)
		for _, e := range all {
			expectOrder(t, e, r, "WSL").saw(transports.Moved, "")
		}
		elapse(time.Hour)
		works := all[1].Table()
		ofEvidence(all[2], r).saw(transports.Stripped, ws0)
		gossip(all[2], all)
		for _, e := range all {
			e.Learn(works)
			expectOrder(t, e, r, "SLW").saw(transports.Moved, "")
		}
	})
}

// A success that came before the news of an older failure refutes it.
func TestNewerSuccessRefutesOlderFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, r := processes(2), from("192.0.2.1:1", chrome)
		ofEvidence(all[0], r).saw(transports.Stripped, ws0)
		elapse(time.Millisecond)
		use(all[1], r, ws0).saw(transports.Ended, ws0)
		gossip(all[0], all)
		gossip(all[1], all)
		for _, e := range all {
			expectOrder(t, e, r, "WSL").saw(transports.Moved, "")
		}
	})
}

// The tabs of a browser use up its connections to the host, at several processes together: an
// event stream that then seems to be held back proves nothing.
func TestManyTabsAtSeveralProcesses(t *testing.T) {
	all, r := processes(3), from("192.0.2.1:1", chrome)
	for _, e := range all {
		ofEvidence(e, r).saw(transports.Stripped, ws0)
		use(e, r, sse0)
		use(e, r, sse0)
	}
	for range 5 {
		for _, e := range all {
			o := ofEvidence(e, r)
			o.saw(transports.Opened, sse0)
			o.saw(transports.Held, sse0)
			o.saw(transports.Ended, sse0)
			gossip(e, all)
		}
	}
	for _, e := range all {
		expectOrder(t, e, r, "SLW")
	}
}

// A client whose first transport does not arrive negotiates again at another process, and opens its
// next transport at a third one.
func TestFallBackAtAnotherProcess(t *testing.T) {
	for name, c := range map[string]struct {
		opened transports.Type
		before func(first, second *offered)
		want   string
	}{
		"another transport":                 {sse0, func(*offered, *offered) {}, "SLW"},
		"the same transport":                {ws0, func(*offered, *offered) {}, "WSL"},
		"another one, and the first opened": {sse0, func(first, _ *offered) { first.saw(transports.Moved, "") }, "WSL"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all, r := processes(3), from("192.0.2.1:1", chrome)
				first := ofEvidence(all[0], r)
				elapse(time.Second)
				second := ofEvidence(all[1], r)
				c.before(first, second)
				o := &offered{Offer: negotiate.Offer{Observer: moved(all[2], r, second.Observer)}, r: r}
				second.saw(transports.Moved, "")
				o.saw(transports.Opened, c.opened)
				elapse(time.Second)
				for range 2 {
					for _, e := range all {
						gossip(e, all)
					}
				}
				elapse(time.Millisecond)
				for i, e := range all {
					if got := ofEvidence(e, r).order(); got != c.want {
						t.Errorf("process %d offers %s, want %s", i, got, c.want)
					}
					if told := gossip(e, nil); told != (c.want == "SLW") { // a negotiation soon after a failure
						t.Errorf("process %d goes on: %v", i, told)
					}
				}
			})
		})
	}
}

// What two processes have seen of a silence counts as what one has seen.
func TestSilenceOfOtherProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, r := processes(3), from("192.0.2.1:1", chrome)
		cut := func(e *negotiate.Evidence, d time.Duration) {
			o := ofEvidence(e, r)
			o.saw(transports.Opened, ws0)
			o.Observer.Observe(transports.Event{Kind: transports.Cut, Transport: ws0, Silence: d})
			gossip(e, all)
		}
		limit := func() (limits [3]time.Duration) {
			for i, e := range all {
				o := ofEvidence(e, r)
				o.saw(transports.Moved, "")
				limits[i] = o.SilenceLimit
			}
			return limits
		}
		const s = time.Second
		cut(all[0], 10*s)
		elapse(10 * time.Minute)
		cut(all[1], 10*s)
		cut(all[2], 8*s) // a client that left
		elapse(29 * time.Minute)
		if got := limit(); got != [3]time.Duration{10 * s, 10 * s, 10 * s} {
			t.Error(got)
		}
		elapse(time.Minute + s)
		if got := limit(); got != [3]time.Duration{} {
			t.Error(got)
		}
	})
}

// A process that begins learns what another one knows, also from others.
func TestTableOfEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, r, cut := processes(3), from("192.0.2.1:1", chrome), from("192.0.2.2:1", chrome)
		if table := all[0].Table(); table != nil {
			t.Errorf("%s", table)
		}
		ofEvidence(all[0], r).saw(transports.Stripped, ws0)
		ofEvidence(all[0], cut).Observer.Observe(transports.Event{Kind: transports.Cut, Transport: ws0, Silence: 10 * time.Second})
		use(all[0], from("192.0.2.3:1", chrome), ws0)
		all[1].Learn(all[0].News())
		elapse(14 * time.Minute)
		all[2].Learn(all[1].Table())
		if n := all[2].Networks(); n != 2 {
			t.Errorf("%d networks", n)
		}
		expectOrder(t, all[2], r, "SLW").saw(transports.Moved, "")
		if o := ofEvidence(all[2], cut); o.SilenceLimit != 10*time.Second {
			t.Error(o.SilenceLimit)
		}
		elapse(2 * time.Minute)
		expectOrder(t, all[2], r, "WSL")
	})
}

// However many networks fail, a process tells little at a time, and keeps little to tell. Without
// other processes it keeps nothing.
func TestNewsAreBounded(t *testing.T) {
	fail := func(e *negotiate.Evidence) {
		for i := range 10_000 {
			r := &http.Request{RemoteAddr: fmt.Sprintf("[2001:db8:%x::1]:1", i), Header: http.Header{"User-Agent": {chrome}}}
			o := ofEvidence(e, r)
			o.saw(transports.Stripped, ws0)
			o.saw(transports.Held, sse0)
			o.Observer.Observe(transports.Event{Kind: transports.Cut, Transport: sse0, Silence: 10 * time.Second})
		}
	}
	alone := negotiate.NewEvidence(negotiate.EvidenceOptions{})
	fail(alone)
	if news := alone.News(); news != nil {
		t.Errorf("%d bytes of news", len(news))
	}
	all := processes(2)
	fail(all[0])
	told, calls := 0, 0
	for news := all[0].News(); news != nil; news = all[0].News() {
		var verdicts []json.RawMessage
		if err := json.Unmarshal(news, &verdicts); err != nil || len(verdicts) > 256 || len(news) > 1<<17 {
			t.Fatalf("%d verdicts in %d bytes, %v", len(verdicts), len(news), err)
		}
		told += len(verdicts)
		calls++
		all[1].Learn(news)
	}
	if told != 4096 || calls != 16 || all[1].Networks() != told {
		t.Errorf("told %d in %d calls, %d are known", told, calls, all[1].Networks())
	}
	table := all[0].Table()
	joins := negotiate.NewEvidence(negotiate.EvidenceOptions{})
	joins.Learn(table)
	if n := joins.Networks(); n != 2048 || len(table) > 1<<20 {
		t.Errorf("%d networks in %d bytes", n, len(table))
	}
	expectOrder(t, joins, &http.Request{RemoteAddr: "[2001:db8:270f::2]:1", Header: http.Header{"User-Agent": {chrome}}}, "LWS") // the last
}

// Whatever another process sends harms nothing: offers stay valid, and what it says fades.
func FuzzLearn(f *testing.F) {
	all := processes(1)
	ofEvidence(all[0], from("192.0.2.1:1", chrome)).saw(transports.Stripped, ws0)
	f.Add([]byte(all[0].News()))
	for _, text := range []string{
		"", "null", "{}", "[null]", "[{}]", `[{"network":"x"}]`, `[{"network":"192.0.2.1","client":300}]`, `[{"websockets":{}}]`,
		`[{"network":"192.0.2.1","client":1,"websockets":{"good":-1e300,"bad":1e300,"failed":true,"reason":"\r\nX: y","age":-9223372036854775808}}]`,
		`[{"network":"192.0.2.1","client":1,"eventStreams":{"good":1e300,"bad":-1e300,"age":9223372036854775807}}]`,
		`[{"network":"192.0.2.1","client":1,"silence":{"limit":9223372036854775807,"seen":9223372036854775807,"age":-1}}]`,
		`[{"network":"192.0.2.1","client":1,"unseen":1,"dropped":-1,"settled":true,"waiting":{"first":"WebSockets","age":3000000000}}]`,
		`[{"network":"192.0.2.1","client":1,"waiting":{"first":"x","partial":true,"age":9223372036854775807},"fellBack":{}}]`,
		`[{"network":"192.0.2.1","client":1,"silence":{"limit":10000000000,"seen":9223372036854775807,"age":9223372036854775807}}]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, news []byte) {
		synctest.Test(t, func(t *testing.T) {
			e, r := processes(1)[0], from("192.0.2.1:1", chrome)
			e.Learn(news)
			for range 2 {
				o := ofEvidence(e, r)
				if len(o.Transports) != 3 || o.SilenceLimit < 0 || o.SilenceLimit > 2*time.Minute || len(o.Reason) > 300 {
					t.Errorf("%v %v %q", o.Transports, o.SilenceLimit, o.Reason)
				}
				o.saw(transports.Opened, ws0)
				o.Observer.Observe(transports.Event{Kind: transports.Cut, Transport: ws0, Silence: 20 * time.Second})
				o.saw(transports.Proved, ws0)
				o.saw(transports.Ended, ws0)
			}
			processes(1)[0].Learn(e.Table())
			elapse(50 * time.Minute)
			expectOrder(t, e, r, "WSL")
		})
	})
}
