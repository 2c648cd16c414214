package cluster

import (
	"encoding/binary"
	"encoding/json"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
)

// compact is a message that is not JSON: each connection that opens needs one, and JSON would be a
// quarter of its cost; or it has many texts that need not be UTF-8. Texts follow their length, numbers are those of binary.AppendUvarint. A later release may append to a message: the rest is ignored.
type compact interface {
	appendTo(b []byte) []byte
	decode(b []byte) error
}

func encode(message any) (b []byte, err error) {
	if c, ok := message.(compact); ok {
		b = c.appendTo(make([]byte, 0, 256))
	} else if b, err = json.Marshal(message); err != nil {
		return nil, err
	}
	if len(b) > maxMessage {
		return nil, errMessage
	}
	return b, nil
}

func decode(b []byte, message any) error {
	if c, ok := message.(compact); ok {
		return c.decode(b)
	}
	return json.Unmarshal(b, message)
}

// appendText appends texts with their lengths.
func appendText[T ~string | ~[]byte](b []byte, texts ...T) []byte {
	for _, text := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return b
}

func appendProcess(b []byte, p process) []byte { return appendText(append(b, p.pid[:]...), p.address) }

// appendUser appends a user, as JSON.
func appendUser(b []byte, u *auth.User) []byte {
	if u == nil {
		return appendText(b, "")
	}
	encoded, err := json.Marshal(encodeUser(u))
	if err != nil {
		encoded = []byte("-") // decode refuses it
	}
	return appendText(b, encoded)
}

// decoder takes a compact message apart. After the end of the message it returns zeros.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) number() uint64 {
	n, length := binary.Uvarint(d.b)
	if length <= 0 {
		d.b, d.failed = nil, true
		return 0
	}
	d.b = d.b[length:]
	return n
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.b, d.failed = nil, true
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) text() string { return string(d.bytes(d.number())) }

func (d *decoder) process() (p process) {
	copy(p.pid[:], d.bytes(pidLength))
	p.address = d.text()
	d.failed = d.failed || CheckAddress(p.address) != nil
	return p
}

func (d *decoder) user() *auth.User {
	var u *user
	if text := d.bytes(d.number()); len(text) > 0 && json.Unmarshal(text, &u) != nil {
		d.failed = true
	}
	return u.decode()
}

func (d *decoder) err() error {
	if d.failed {
		return errMessage
	}
	return nil
}

// The flags of find and found.
const (
	claims = 1 << iota
	hasOwner
	isOpen
	forgets
	hasHandover
)

// flag returns bit if it is set, and 0 otherwise.
func flag(set bool, bit uint64) uint64 {
	if set {
		return bit
	}
	return 0
}

func (f *find) appendTo(b []byte) []byte {
	b = appendText(binary.AppendUvarint(b, flag(f.claims, claims)), f.hub, f.key)
	return appendUser(appendProcess(b, f.asking), f.user)
}

func (f *find) decode(b []byte) error {
	d := &decoder{b: b}
	*f = find{claims: d.number()&claims != 0, hub: d.text(), key: d.text(), asking: d.process(), user: d.user()}
	return d.err()
}

func (f *found) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(b, flag(f.owner != process{}, hasOwner)|flag(f.open, isOpen)|flag(f.forgets, forgets)|flag(f.handover != nil, hasHandover))
	if f.owner != (process{}) {
		b = appendProcess(b, f.owner)
	}
	if h := f.handover; h != nil {
		b = appendUser(appendText(b, h.ID, h.Key, h.Origin), h.User)
		b = appendText(binary.AppendUvarint(b, uint64(len(h.Stateful))), h.Stateful...)
		b = appendText(binary.AppendUvarint(binary.AppendUvarint(b, uint64(h.Silence)), uint64(h.Age)), h.Offer)
	}
	return b
}

func (f *found) decode(b []byte) error {
	d := &decoder{b: b}
	flags := d.number()
	*f = found{open: flags&isOpen != 0, forgets: flags&forgets != 0}
	if flags&hasOwner != 0 {
		f.owner = d.process()
	}
	if flags&hasHandover != 0 {
		f.handover = d.handover()
	}
	return d.err()
}

func (d *decoder) handover() *connection.Handover {
	h := &connection.Handover{ID: d.text(), Key: d.text(), Origin: d.text(), User: d.user()}
	for n := d.number(); n > 0 && !d.failed; n-- {
		h.Stateful = append(h.Stateful, transports.Type(d.text()))
	}
	h.Silence, h.Age = time.Duration(d.number()), time.Duration(d.number())
	if offer := d.text(); offer != "" {
		h.Offer = []byte(offer)
	}
	return h
}
