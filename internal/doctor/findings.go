package doctor

import (
	"fmt"
	"time"
)

// The codes of findings. They are stable.
const (
	codeUnreachable = "unreachable"       // negotiation fails, for a reason that remedies.Statuses does not list
	codeNoHub       = "no-hub"            // something other than a hub answers
	codeToken       = "token-refused"     // the hub does not accept the access token
	codeUntrusted   = "tls-untrusted"     // this machine does not trust the certificate's issuer
	codeCertificate = "tls-invalid"       // the certificate is for another name or has expired
	codeStripped    = "upgrade-stripped"  // a proxy removes Upgrade from WebSocket handshakes
	codeSwallowed   = "upgrade-swallowed" // WebSocket handshakes get no answer
	codeConnect     = "connect-refused"   // the forward proxy refuses a tunnel
	codePage        = "answered-by-page"  // a box answers with a page of its own
	codeAccept      = "accept-lost"       // a proxy removes the header Accept
	codeRefused     = "refused"           // an HTTP status refuses the transport
	codeBuffered    = "buffered"          // a proxy buffers the server's messages
	codeCompressed  = "compressed"        // a proxy compresses the stream
	codeDelayed     = "delayed"           // messages come later than the distance explains
	codeIdle        = "idle-cut"          // an idle connection is cut
	codeFails       = "fails"             // any other fault
)

var codes = map[refusal]string{
	swallowed: codeSwallowed, answeredByPage: codePage, connectRefused: codeConnect, refused: codeRefused, polled: codeAccept,
}

// judge derives findings, advice and the verdict from the measurements.
func (x *examiner) judge() {
	r := x.report
	if r.Boxes == nil {
		r.Boxes = []Box{}
	}
	r.Findings, r.Advice = []Finding{}, []Advice{}
	if r.Transports == nil {
		r.Transports = []*Transport{}
	}
	r.judgeNegotiation()
	quickest := r.quickest()
	for _, t := range r.Transports {
		r.judgeDelay(t, quickest)
		r.judgeTransport(t)
	}
	r.Verdict = r.verdict()
	r.advise()
}

func (r *Report) find(code, transport, format string, values ...any) {
	r.Findings = append(r.Findings, Finding{Code: code, Transport: transport, Text: fmt.Sprintf(format, values...)})
}

// How much slower a transport may be than the fastest one, in milliseconds. Beyond the
// first limit something on the way waits for a timer, beyond the second it collects data.
const (
	delayedFrom  = 100
	bufferedFrom = 500
)

// quickest is the smallest delay of all transports.
func (r *Report) quickest() float64 {
	least := 0.0
	for _, t := range r.Transports {
		if t.Works && (least == 0 || t.Delay < least) {
			least = t.Delay
		}
	}
	return least
}

// judgeDelay compares a transport with the fastest one, so that the distance does not
// count. An answer by long polling takes one more round trip.
func (r *Report) judgeDelay(t *Transport, quickest float64) {
	if !t.Works || t.Name == LongPolling {
		return
	}
	switch late := t.Delay - quickest; {
	case late > bufferedFrom:
		t.Buffered = true
	case late > delayedFrom:
		r.find(codeDelayed, t.Name, "%s arrives %.0f ms later than it could", t.Name, late)
	}
}

func (r *Report) judgeTransport(t *Transport) {
	if !t.Works && !t.Offered && r.Negotiate.Reason == "" {
		return // the server does not offer it
	}
	switch {
	case t.Buffered:
		r.judgeBuffered(t)
	case t.refusal == stripped:
		r.find(codeStripped, t.Name, "%s does not get through: a proxy takes Upgrade out of the handshake, which the server answers with status %d", t.Name, t.Status)
	case !t.Works:
		code := codes[t.refusal]
		if code == "" {
			code = codeFails
		}
		r.find(code, t.Name, "%s does not get through: %s", t.Name, t.Error)
	}
	if t.CutAfter > 0 {
		r.find(codeIdle, t.Name, "%s is cut after %.0f s of silence: %s", t.Name, t.CutAfter, t.Cut)
	}
}

func (r *Report) judgeBuffered(t *Transport) {
	code, how := codeBuffered, ""
	if t.Encoding != "" && t.Encoding != "identity" {
		code, how = codeCompressed, ", and compressed with "+t.Encoding
	}
	switch {
	case t.Works:
		r.find(code, t.Name, "%s is buffered by a proxy%s; messages arrive %.0f ms late", t.Name, how, t.Delay)
	case t.BufferedBytes > 0:
		r.find(code, t.Name, "%s is buffered by a proxy until about %d KB have come%s", t.Name, t.BufferedBytes>>10, how)
	default:
		r.find(code, t.Name, "%s is buffered by a proxy, more than %d KB%s", t.Name, fillMost>>10, how)
	}
}

// verdict sums up the report. A transport that the server offers to no network is not a
// failure; one that it leaves out for this network is.
func (r *Report) verdict() Verdict {
	works := false
	for _, t := range r.Transports {
		if !t.Works {
			continue
		}
		works = true
		if r.Best == "" && !t.Buffered && t.CutAfter == 0 {
			r.Best = t.Name
		}
	}
	switch {
	case !works:
		return Nothing
	case len(r.Findings) > 0:
		return Fallback
	}
	return Well
}

// shortest is the shortest silence after which a transport was cut.
func (r *Report) shortest() time.Duration {
	var least time.Duration
	for _, t := range r.Transports {
		if cut := time.Duration(t.CutAfter * float64(time.Second)); cut > 0 && (least == 0 || cut < least) {
			least = cut
		}
	}
	return least
}
