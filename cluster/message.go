package cluster

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/connection"
)

// The messages of the link are JSON, but for those that are compact. A node ignores members that it does
// not know, so that a later release may add some. The path of a question or request contains the
// version of the format. A release that needs another version serves both, and uses the new one for
// nodes that have named it in their hello.
const linkVersion = 1

// Paths and headers of the link. All but a forwarded request are questions.
const (
	helloPath   = "/1/hello"
	findPath    = "/1/find"
	drainPath   = "/1/drain"
	endPath     = "/1/end"
	endedPath   = "/1/ended"
	learnPath   = "/1/learn"
	commandPath = "/1/command"
	surveyPath  = "/1/survey"
	forwardPath = "/1/forward"

	forHeader = "Carillon-For" // the pid of the process that a request is for
)

// hello is a message to a node that need not be known by its pid, and the answer.
type hello struct {
	Version int `json:"version"` // highest version of the link's format that the node knows
	place
}

func (n *Node) hello() hello { return hello{linkVersion, n.self.place()} }

// find asks for the owner of a connection.
type find struct {
	hub    string
	key    string
	claims bool // the asking process wants to be the owner
	asking process
	user   *auth.User // of the request of asking
}

// found is the answer to find. It has an owner, a handover, or neither if the connection is not
// known.
type found struct {
	owner    process
	open     bool // the connection has an owner for good
	forgets  bool // the asked process may have forgotten the owner
	handover *connection.Handover
}

// drain says that a process ends: the polls that it has forwarded are to be answered now.
type drain struct {
	Hub    string `json:"hub"`
	Asking place  `json:"asking"`
}

// end asks the owner of connections to end them.
type end struct {
	Ends []ending `json:"ends"`
}

// place is a process on the link.
type place struct {
	PID     string `json:"pid"`
	Address string `json:"address"`
}

func (p process) place() place { return place{p.pid.String(), p.address} }

func (p place) process() (process, error) {
	of, err := parsePID(p.PID)
	if err == nil {
		err = CheckAddress(p.Address)
	}
	if err != nil {
		return process{}, err
	}
	return process{of, p.Address}, nil
}

// user is an auth.User.
type user struct {
	ID        raw            `json:"id"`
	Claims    map[string]any `json:"claims,omitempty"`
	Expires   time.Time      `json:"expires,omitzero"`
	ClockSkew time.Duration  `json:"clockSkew,omitempty"`
	Ends      time.Time      `json:"ends,omitzero"` // no later than this
	Ticket    []byte         `json:"ticket,omitempty"`
	Expired   bool           `json:"expired,omitempty"`
}

// latestTime is later than any credentials expire.
var latestTime = time.Date(9000, 1, 1, 0, 0, 0, 0, time.UTC)

func encodeUser(u *auth.User) *user {
	if u == nil {
		return nil
	}
	encoded := &user{ID: raw(u.ID), Claims: u.Claims, Expires: u.Expires, ClockSkew: u.ClockSkew, Ends: u.End(latestTime), Expired: u.Expired}
	if t := u.Ticket(); t != nil {
		encoded.Ticket = []byte(t.Digest())
	}
	return encoded
}

func (u *user) decode() *auth.User {
	if u == nil {
		return nil
	}
	decoded := &auth.User{ID: string(u.ID), Claims: u.Claims, Expires: u.Expires, ClockSkew: u.ClockSkew, Expired: u.Expired}
	if !u.Ends.IsZero() {
		decoded = decoded.EndingBy(u.Ends)
	}
	if len(u.Ticket) > 0 {
		decoded = decoded.WithTicket(auth.NewTicket(string(u.Ticket)))
	}
	return decoded
}

// forwarded is a request that another process serves. Its body follows.
type forwarded struct {
	Asking place  `json:"asking"` // the process that forwards
	Hub    string `json:"hub"`
	Key    string `json:"key"`
	Method raw    `json:"method"`
	URI    raw    `json:"uri"`  // as the client sent it
	Path   raw    `json:"path"` // as a mux has changed it
	Host   raw    `json:"host"`
	Proto  string `json:"proto,omitempty"` // of the client or its proxy, such as HTTP/1.1
	Header header `json:"header"`
	Length int64  `json:"length"` // of the body; -1: unknown
	// Acks means that a byte follows when the client has got an answer with data.
	Acks   bool  `json:"acks,omitempty"`
	Remote raw   `json:"remote"` // address of the client
	Scheme raw   `json:"scheme,omitempty"`
	TLS    bool  `json:"tls,omitempty"`
	User   *user `json:"user,omitempty"`
	// Wait is the longest time until the answer; 0: no limit.
	Wait time.Duration `json:"wait,omitempty"`
	// Answer are the headers that middleware has set for the answer.
	Answer header `json:"answer,omitempty"`
}

// answer is the head of the answer to a forwarded request. Its body follows.
type answer struct {
	Status int    `json:"status"`
	Header header `json:"header"`
	// Flushed means that the body arrives in parts, each of which is passed on at once.
	Flushed bool `json:"flushed,omitempty"`
}

// raw is text that need not be UTF-8, which JSON would change.
type raw string

// MarshalJSON implements json.Marshaler.
func (r raw) MarshalJSON() ([]byte, error) { return json.Marshal([]byte(r)) }

// UnmarshalJSON implements json.Unmarshaler.
func (r *raw) UnmarshalJSON(encoded []byte) error {
	var b []byte
	err := json.Unmarshal(encoded, &b)
	*r = raw(b)
	return err
}

// header is an http.Header with everything that net/http distinguishes: values need not be
// UTF-8, and a name without a value suppresses a header that net/http would add.
type header http.Header

// MarshalJSON implements json.Marshaler. Each line is a name, or a name, a colon and a value.
func (h header) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for name, values := range h {
		if len(values) == 0 {
			b.WriteString(name + "\n")
		}
		for _, value := range values {
			b.WriteString(name + ":" + oneLine.Replace(value) + "\n")
		}
	}
	return json.Marshal(b.Bytes())
}

// oneLine replaces line breaks as net/http does.
var oneLine = strings.NewReplacer("\n", " ", "\r", " ")

// UnmarshalJSON implements json.Unmarshaler.
func (h *header) UnmarshalJSON(encoded []byte) error {
	var b []byte
	if err := json.Unmarshal(encoded, &b); err != nil {
		return err
	}
	*h = header{}
	for line := range strings.Lines(string(b)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		switch {
		case ok:
			(*h)[name] = append((*h)[name], value)
		case (*h)[name] == nil:
			(*h)[name] = nil
		}
	}
	return nil
}

// maxMessage is the longest JSON of a message in bytes. The largest one is a forwarded request:
// its head, and the claims of its user.
const maxMessage = 1 << 20

var errMessage = errors.New("cluster: a message of the link is not valid")

// writeMessage writes the length of a message and its JSON.
func writeMessage(b *bytes.Buffer, message any) error {
	encoded, err := json.Marshal(message)
	if err != nil {
		return err
	}
	if len(encoded) > maxMessage {
		return errMessage
	}
	b.Write(binary.BigEndian.AppendUint32(make([]byte, 0, 4), uint32(len(encoded))))
	b.Write(encoded)
	return nil
}

// readMessage reads a message in the form of writeMessage.
func readMessage(r io.Reader, message any) error {
	var length [4]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxMessage {
		return errMessage
	}
	encoded := make([]byte, n)
	if _, err := io.ReadFull(r, encoded); err != nil {
		return err
	}
	return json.Unmarshal(encoded, message)
}
