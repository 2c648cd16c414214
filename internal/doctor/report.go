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

// Verdict sums up the examination in one word.
type Verdict string

// The verdicts.
const (
	Well     Verdict = "well"     // every offered transport works
	Fallback Verdict = "fallback" // clients connect, but by a fallback or with a fault
	Nothing  Verdict = "nothing"  // no transport works
)

// Report is the result of an examination. Its JSON is stable: fields may be added, none
// is renamed.
type Report struct {
	URL        string       `json:"url"`
	Time       time.Time    `json:"time"`
	Verdict    Verdict      `json:"verdict"`
	Best       string       `json:"best,omitempty"`  // the first transport that works well
	Proxy      string       `json:"proxy,omitempty"` // forward proxy that the environment names
	Negotiate  Negotiation  `json:"negotiate"`
	TLS        *TLS         `json:"tls,omitempty"`
	Boxes      []Box        `json:"boxes"` // programs that answer on the way, the server included
	Transports []*Transport `json:"transports"`
	Findings   []Finding    `json:"findings"`
	Advice     []Advice     `json:"advice"`
}

// Negotiation is the result of the first negotiation.
type Negotiation struct {
	Status  int      `json:"status,omitempty"`
	Millis  float64  `json:"millis,omitempty"`
	HTTP    string   `json:"http,omitempty"` // HTTP/1.1, HTTP/2.0
	Offered []string `json:"offered"`
	// Reason is the server's header Carillon-Transport-Reason: why it offers other
	// transports than usual.
	Reason string `json:"reason,omitempty"`
	Error  string `json:"error,omitempty"`

	code string // the finding's code, if there is an error
}

// TLS describes the certificate of the server.
type TLS struct {
	Version string `json:"version,omitempty"`
	Subject string `json:"subject"`
	Issuer  string `json:"issuer"`
	Trusted bool   `json:"trusted"`
}

// Transport is the result for one transport. Times are in milliseconds.
type Transport struct {
	Name    string `json:"transport"`
	Offered bool   `json:"offered"`
	Works   bool   `json:"works"`
	// Connect is the time until the connection is accepted, FirstEvent the time until the
	// hub has answered the handshake. Both begin with the first request.
	Connect    float64 `json:"connectMillis,omitempty"`
	FirstEvent float64 `json:"firstEventMillis,omitempty"`
	// Delay is the time between a call and its answer: the median and the maximum.
	Delay    float64 `json:"delayMillis,omitempty"`
	DelayMax float64 `json:"delayMaxMillis,omitempty"`
	// Buffered reports whether a box on the way holds messages back. BufferedBytes is
	// roughly how many bytes the server had to send before the first arrived; 0 means that
	// 64 KB were not enough.
	Buffered      bool    `json:"buffered"`
	BufferedBytes int     `json:"bufferedBytes,omitempty"`
	Encoding      string  `json:"contentEncoding,omitempty"`
	IdleSeconds   float64 `json:"idleSeconds,omitempty"` // how long it was watched
	// SilentSeconds is the longest silence that was not cut. It is shorter than
	// IdleSeconds if the hub sent messages.
	SilentSeconds float64 `json:"silentSeconds,omitempty"`
	// CutAfter is the silence in seconds after which the connection was cut; 0 means never.
	CutAfter float64 `json:"cutAfterSeconds,omitempty"`
	Cut      string  `json:"cut,omitempty"`    // how
	Status   int     `json:"status,omitempty"` // of HTTP, where it refused
	Error    string  `json:"error,omitempty"`

	refusal refusal
}

// refusal is the way in which a transport was refused, if it is known.
type refusal string

const (
	swallowed      refusal = "swallowed"      // no answer at all
	stripped       refusal = "stripped"       // the header Upgrade did not arrive
	answeredByPage refusal = "answeredByPage" // HTML in place of the server's answer
	connectRefused refusal = "connectRefused" // the forward proxy refuses a tunnel
	refused        refusal = "refused"        // a status
	polled         refusal = "polled"         // an event stream was answered as a poll: Accept is lost
)

// Box is a program on the way that answers: a proxy, or the server.
type Box struct {
	Kind     string `json:"kind"`     // nginx, haproxy, apache, varnish, squid, tinyproxy, ..., unknown
	Evidence string `json:"evidence"` // the header, or the page, by which it was recognized
}

// Finding is one fault.
type Finding struct {
	Code      string `json:"code"`
	Transport string `json:"transport,omitempty"`
	Text      string `json:"text"`
}

// Advice is a remedy for one kind of box.
type Advice struct {
	Box   string   `json:"box"`
	Guess bool     `json:"guess"` // the box was not recognized: the remedy applies only if it is of this kind
	Text  string   `json:"text"`
	Lines []string `json:"lines"`
}

// add appends a transport and returns it.
func (r *Report) add(name string) *Transport {
	t := &Transport{Name: name, Offered: slices.Contains(r.Negotiate.Offered, name)}
	r.Transports = append(r.Transports, t)
	return t
}

// noteBox records a box, once.
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
