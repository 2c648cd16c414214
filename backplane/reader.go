package backplane

import (
	"math"
	"time"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/packread"
)

// reader reads payloads.
type reader struct{ packread.Reader }

func newReader(payload []byte) reader { return reader{packread.Reader{Data: payload}} }

// extension reads the extension of an invocation up to the first unknown key. It is ignored
// if it is malformed.
func (r *reader) extension() (x extension) {
	var d frame.Delivery
	for range r.Map() {
		switch string(r.Name()) {
		case "policy":
			d.Policy = frame.Policy(r.Int(0, int64(frame.Conflate))) //nolint:gosec // within these bounds
			x.delivery = &d
		case "key":
			d.Key = r.Text()
		case "end":
			x.end = r.Bool()
		default:
			return x
		}
		if r.Failed {
			return extension{}
		}
	}
	return x
}

// change reads the extension of a command as extension does that of an invocation.
func (r *reader) change() (x change) {
	for range r.Map() {
		switch string(r.Name()) {
		case "action":
			x.action = hub.Action(r.Int(0, math.MaxUint8))
		case "name":
			x.name = r.Text()
		case "ttl":
			x.ttl = time.Duration(r.Int(math.MinInt64, math.MaxInt64))
		default:
			return x
		}
		if r.Failed {
			return change{}
		}
	}
	return x
}
