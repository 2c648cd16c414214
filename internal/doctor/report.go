package doctor

import (
	"slices"
	"time"
)

// The transports, by their names in SignalR and in the order in which they are tried.
const (
	WebSockets       = "WebSockets"
	ServerSentEvents = "ServerSentEvents"
	LongPolling      = "LongPolling"
)

// Transports are all of them.
var Transports = []string{WebSockets, ServerSentEvents, LongPolling}

// Verdict is the examination in a word.
type Verdict string

// The verdicts.
const (
	Well     Verdict = "well"     // everything that the server offers works as it should
	Fallback Verdict = "fallback" // clients connect, but not as well as they might
	Nothing  Verdict = "nothing"  // nothing works
)

// Report is what an examination found. Its JSON is stable: fields may be added, none is
// renamed.
type Report struct {
	URL        string       `json:"url"`
	Time       time.Time    `json:"time"`
	Verdict    Verdict      `json:"verdict"`
	Best       string       `json:"best,omitempty"`  // the first transport that works well
	Proxy      string       `json:"proxy,omitempty"` // forward proxy that the environment names
	Negotiate  Negotiation  `json:"negotiate"`
	TLS        *TLS         `json:"tls,omitempty"`
	Boxes      []Box        `json:"boxes"` // what answers on the way, the server itself included
	Transports []*Transport `json:"transports"`
	Findings   []Finding    `json:"findings"`
	Advice     []Advice     `json:"advice"`
}

// Negotiation is how the first negotiation went.
type Negotiation struct {
	Status  int      `json:"status,omitempty"`
	Millis  float64  `json:"millis,omitempty"`
	HTTP    string   `json:"http,omitempty"` // HTTP/1.1, HTTP/2.0
	Offered []string `json:"offered"`
	// Reason is why the server does not offer what it usually does: its header
	// Carillon-Transport-Reason.
	Reason string `json:"reason,omitempty"`
	Error  string `json:"error,omitempty"`

	code string // of what is found, if there is an error
}

// TLS is who answers for the server's name.
type TLS struct {
	Version string `json:"version,omitempty"`
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	Trusted bool   `json:"trusted"`
}

// Transport is how one transport fares. Times are in milliseconds.
type Transport struct {
	Name    string `json:"transport"`
	Offered bool   `json:"offered"`
	Works   bool   `json:"works"`
	// Connect is the time until the connection is accepted, FirstEvent until the hub
	// has answered the handshake; both from the first request.
	Connect    float64 `json:"connectMillis,omitempty"`
	FirstEvent float64 `json:"firstEventMillis,omitempty"`
	// Delay is the time between a call and its answer, in the median and at most.
	Delay    float64 `json:"delayMillis,omitempty"`
	DelayMax float64 `json:"delayMaxMillis,omitempty"`
	// Buffered: what the server sends is held back on the way. BufferedBytes is about how
	// much had to come before any of it arrived; 0: not even 64 KB were enough.
	Buffered      bool    `json:"buffered"`
	BufferedBytes int     `json:"bufferedBytes,omitempty"`
	Encoding      string  `json:"contentEncoding,omitempty"`
	IdleSeconds   float64 `json:"idleSeconds,omitempty"` // how long it was watched
	// SilentSeconds is the longest silence in that time which was not cut: a hub may have
	// something to say.
	SilentSeconds float64 `json:"silentSeconds,omitempty"`
	// CutAfter is the silence in seconds after which the connection was cut; 0: it was not.
	CutAfter float64 `json:"cutAfterSeconds,omitempty"`
	Cut      string  `json:"cut,omitempty"`    // how
	Status   int     `json:"status,omitempty"` // of HTTP, where it refused
	Error    string  `json:"error,omitempty"`

	refusal refusal
}

// refusal is how a transport was refused, where that is known.
type refusal string

const (
	swallowed      refusal = "swallowed"      // no answer at all
	stripped       refusal = "stripped"       // Upgrade did not arrive
	answeredByPage refusal = "answeredByPage" // HTML in place of the server's answer
	connectRefused refusal = "connectRefused" // the forward proxy opens no tunnel
	refused        refusal = "refused"        // a status
	polled         refusal = "polled"         // an event stream was answered as a poll: Accept is lost
)

// Box is something that answers on the way.
type Box struct {
	Kind     string `json:"kind"`     // nginx, haproxy, apache, varnish, squid, tinyproxy, ..., unknown
	Evidence string `json:"evidence"` // the header, or the page, that gave it away
}

// Finding is one thing that is not as it should be.
type Finding struct {
	Code      string `json:"code"`
	Transport string `json:"transport,omitempty"`
	Text      string `json:"text"`
}

// Advice is what to write where.
type Advice struct {
	Box   string   `json:"box"`
	Guess bool     `json:"guess"` // nobody said who stands there: it is for whoever has this box
	Text  string   `json:"text"`
	Lines []string `json:"lines"`
}

// add makes room for a transport.
func (r *Report) add(name string) *Transport {
	t := &Transport{Name: name, Offered: slices.Contains(r.Negotiate.Offered, name)}
	r.Transports = append(r.Transports, t)
	return t
}

// noteBox takes note of a box once.
func (x *examiner) noteBox(boxes ...Box) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range boxes {
		if !slices.Contains(x.report.Boxes, b) {
			x.report.Boxes = append(x.report.Boxes, b)
		}
	}
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
