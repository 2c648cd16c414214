package doctor

import (
	"fmt"
	"time"
)

// The codes of findings. They are stable.
const (
	codeUnreachable = "unreachable"       // negotiation fails, for none of the reasons in cures.Statuses either
	codeNoHub       = "no-hub"            // something else than a hub answers
	codeUntrusted   = "tls-untrusted"     // nobody here trusts who issued the certificate
	codeCertificate = "tls-invalid"       // it is another name's or another time's
	codeStripped    = "upgrade-stripped"  // a proxy takes Upgrade out of WebSocket handshakes
	codeSwallowed   = "upgrade-swallowed" // handshakes get no answer
	codeConnect     = "connect-refused"   // the forward proxy opens no tunnel
	codePage        = "answered-by-page"  // somebody puts a page in place of the answer
	codeAccept      = "accept-lost"       // the header Accept is lost
	codeRefused     = "refused"           // a status
	codeBuffered    = "buffered"          // what the server sends is held back
	codeCompressed  = "compressed"        // and it is compressed on the way
	codeDelayed     = "delayed"           // what the server sends comes late, for no reason of distance
	codeIdle        = "idle-cut"          // silence is cut
	codeFails       = "fails"             // none of these
)

var codes = map[refusal]string{
	swallowed: codeSwallowed, answeredByPage: codePage, connectRefused: codeConnect, refused: codeRefused, polled: codeAccept,
}

// judge makes findings, advice and a verdict of what was measured.
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

// What a transport may be slower than the quickest one, in milliseconds: beyond the
// first something waits for a timer, beyond the second something collects.
const (
	delayedFrom  = 100
	bufferedFrom = 500
)

// quickest is the delay of the transport that has the least.
func (r *Report) quickest() float64 {
	least := 0.0
	for _, t := range r.Transports {
		if t.Works && (least == 0 || t.Delay < least) {
			least = t.Delay
		}
	}
	return least
}

// judgeDelay compares with another transport, and so takes out the distance. An answer
// by long polling takes a round trip more.
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
		return // the server does not want it
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
		r.find(code, t.Name, "%s arrives late, by %.0f ms%s", t.Name, t.Delay, how)
	case t.BufferedBytes > 0:
		r.find(code, t.Name, "%s is held back on the way until about %d KB have come%s", t.Name, t.BufferedBytes>>10, how)
	default:
		r.find(code, t.Name, "%s is held back on the way, more than %d KB of it%s", t.Name, fillMost>>10, how)
	}
}

// verdict: a transport that the server does not want is no failure, one that it only
// leaves out for this network is.
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

// shortest is the shortest silence that is cut.
func (r *Report) shortest() time.Duration {
	var least time.Duration
	for _, t := range r.Transports {
		if cut := time.Duration(t.CutAfter * float64(time.Second)); cut > 0 && (least == 0 || cut < least) {
			least = cut
		}
	}
	return least
}
