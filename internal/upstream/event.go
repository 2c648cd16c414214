package upstream

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/hosting"
	"github.com/carillon-go/carillon/internal/httpreq"
)

// The categories of events, and the events of connections.
const (
	connections  = "connections"
	messages     = "messages"
	connected    = "connected"
	disconnected = "disconnected"
)

// The limits of the headers of an event, after escaping, in bytes. Together they are below the
// 16 KiB that Node accepts, and the lines below the 100 of Python.
const (
	maxName        = 1 << 10 // of the user id and the target
	maxQuery       = 4 << 10
	maxClaims      = 6 << 10 // with the names of their headers
	maxClaimsLines = 60
)

const (
	hubHeader    = "X-ASRS-Hub"
	claimsHeader = "X-ASRS-User-Claims"
)

// event is one event on its way to the backend.
type event struct {
	category, name string
	id             string // the same for each attempt
	connection     string
	user           string // "": none
	query          string // of the client's request
	claims         []string
	contentType    string
	body           []byte
	cut            bool // the query, or claims, are too long and left out
}

var (
	errLongUser   = errors.New("the user id is too long for a header")
	errLongTarget = fmt.Errorf("%w: it is too long for a header", errTarget)
)

// newEvent returns an event of a connection. The body is in JSON.
func newEvent(c *hub.Caller, category, name string, body []byte) (*event, error) {
	e := &event{
		category: category, name: name, id: newID(), connection: c.ConnectionID(), user: escapeHeader(c.UserID()),
		contentType: contentJSON, body: body,
	}
	switch {
	case len(escapeHeader(name)) > maxName:
		return nil, errLongTarget
	case len(e.user) > maxName:
		return nil, errLongUser
	}
	if r := c.Request(); r != nil {
		if e.query = clientQuery(r.URL.RawQuery); len(e.query) > maxQuery {
			e.query, e.cut = "", true
		}
	}
	e.addClaims(c.User())
	return e, nil
}

func newID() string { return "msg_" + rand.Text() }

// addClaims adds the claims in the order of their names, as many as the limits allow.
func (e *event) addClaims(u *auth.User) {
	if u == nil {
		return
	}
	size := 0
	for _, name := range slices.Sorted(maps.Keys(u.Claims)) {
		if name == hosting.GroupsClaim {
			continue
		}
		for _, value := range claimValues(u.Claims[name]) {
			// A colon and a space end the name.
			line := strings.ReplaceAll(escapeHeader(name), ": ", "%3A ") + ": " + escapeHeader(value)
			if size += len(claimsHeader) + len(line) + len(": \r\n"); size > maxClaims || len(e.claims) == maxClaimsLines {
				e.cut = true
				return
			}
			e.claims = append(e.claims, line)
		}
	}
}

// claimValues returns the values of a claim as texts: those of a list one by one, and an object in
// JSON.
func claimValues(claim any) []string {
	switch c := claim.(type) {
	case nil:
		return nil
	case string:
		return []string{c}
	case []string:
		return c
	case []any:
		var all []string
		for _, v := range c {
			if _, isList := v.([]any); isList {
				all = append(all, claimText(v))
			} else {
				all = append(all, claimValues(v)...)
			}
		}
		return all
	}
	return []string{claimText(claim)}
}

func claimText(claim any) string {
	text, err := json.Marshal(claim)
	if err != nil { // not from JSON
		return fmt.Sprint(claim)
	}
	return string(text)
}

// size returns about the memory of an event that waits.
func (e *event) size() int {
	size := 512 + len(e.name) + len(e.user) + len(e.query) + len(e.body)
	for _, line := range e.claims {
		size += len(line) + 32
	}
	return size
}

// header returns the headers of an attempt, spelled as Azure SignalR Service does.
func (e *event) header(hubName string, k *accesskey.Keys, now time.Time) http.Header {
	h := http.Header{
		"Content-Type":         {e.contentType},
		hubHeader:              {escapeHeader(hubName)},
		"X-ASRS-Category":      {e.category},
		"X-ASRS-Event":         {escapeHeader(e.name)},
		"X-ASRS-Connection-Id": {escapeHeader(e.connection)},
	}
	if e.query != "" {
		h["X-ASRS-Client-Query"] = []string{e.query}
	}
	if e.user != "" {
		h["X-ASRS-User-Id"] = []string{e.user}
	}
	if len(e.claims) > 0 {
		h[claimsHeader] = e.claims
	}
	if signature := k.Signature(e.connection); signature != "" {
		h["X-ASRS-Signature"] = []string{signature}
	}
	sign(h, k, e.id, now, e.body)
	return h
}

// sign adds the headers of the specification Standard Webhooks 1.0, with a signature for each
// access key.
func sign(h http.Header, k *accesskey.Keys, id string, now time.Time, body []byte) {
	at := strconv.FormatInt(now.Unix(), 10)
	h["webhook-id"], h["webhook-timestamp"] = []string{id}, []string{at}
	var all []string
	for _, mac := range k.HMAC(slices.Concat([]byte(id+"."+at+"."), body)) {
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac))
	}
	if all != nil {
		h["webhook-signature"] = []string{strings.Join(all, " ")}
	}
}

// escapeHeader returns text for a header: bytes that are not of visible ASCII, percent signs, and
// spaces at the ends are escaped as in a URL. So it cannot end the header, and each language can
// decode it.
func escapeHeader(text string) string {
	start, end := len(text)-len(strings.TrimLeft(text, " ")), len(strings.TrimRight(text, " "))
	return escapeBytes(text, func(i int) bool {
		return text[i] < ' ' || text[i] > '~' || text[i] == '%' || i < start || i >= end
	})
}

func escapeBytes(text string, must func(i int) bool) string {
	var b strings.Builder
	for i := range len(text) {
		if must(i) {
			fmt.Fprintf(&b, "%%%02X", text[i])
		} else {
			b.WriteByte(text[i])
		}
	}
	return b.String()
}

// clientQuery returns the query of a client's request without the parameters that are secrets.
func clientQuery(raw string) string {
	query := httpreq.LeaveOut(raw, httpreq.IsSecret)
	return escapeBytes(query, func(i int) bool { return query[i] <= ' ' || query[i] > '~' })
}
