package serviceprotocol

import (
	"reflect"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/carillon-go/carillon/protocol"
)

// full has a value in each field.
var full = Message{
	Connection: "c", User: "u", Group: "g", Names: []string{"a", "b"}, Except: []string{"x"}, ExceptUsers: []string{"y"}, Caller: "z",
	Data: []byte("data"), Payloads: []Payload{{"json", []byte("{}\x1e")}, {"blazorpack", []byte{1, 0x90}}},
	Claims: []Claim{{"role", "a"}, {"role", "b"}}, Headers: []Header{{"X-A", []string{"1", "2"}}}, Query: "?a=b",
	Ack: -7, Status: Done, Text: "text", Max: 100, Invocation: "i", Server: "s", Version: 1, Kind: OnDemandConnection,
	Target: "t", Migration: MigrateAlways, Stateful: true, Protocol: "json",
}

// record returns an appended message without its length.
func record(t testing.TB, wire []byte) []byte {
	t.Helper()
	r, rest, err := protocol.NewMessagePack().Next(wire, 0, 0)
	if err != nil || len(rest) > 0 {
		t.Fatalf("%x is not one message: %v", wire, err)
	}
	return r
}

func TestEachTypeIsReadAsItWasWritten(t *testing.T) {
	for kind, l := range layouts {
		m := full
		m.Type = kind
		wire := Append(nil, &m)
		var got Message
		if known, err := Parse(record(t, wire), &got); err != nil || !known {
			t.Fatalf("type %d: %v, known %t", kind, err, known)
		}
		if again := Append(nil, &got); string(again) != string(wire) {
			t.Errorf("type %d: %x was read and written as %x", kind, wire, again)
		}
		r := record(t, wire)
		for end := range r {
			if _, err := Parse(r[:end], &got); err == nil {
				t.Errorf("type %d: no error for the first %d of %d bytes", kind, end, len(r))
			}
		}
		if len(l.fields) == 0 {
			t.Errorf("type %d has no fields", kind)
		}
	}
}

func TestItemsAtTheEndMayBeMissingOrUnknown(t *testing.T) {
	for kind, l := range layouts {
		for n := range len(l.fields) + 2 {
			m := full
			wire := msgp.AppendInt(msgp.AppendArrayHeader(nil, uint32(1+n)), int(kind)) //nolint:gosec // a small number
			for i := range n {
				if i < len(l.fields) {
					wire = l.fields[i].append(wire, &m)
				} else {
					wire = msgp.AppendMapHeader(wire, 0)
				}
			}
			var got Message
			_, err := Parse(wire, &got)
			if fine := n >= l.optional; fine != (err == nil) {
				t.Errorf("type %d with %d items: %v", kind, n, err)
			}
		}
	}
}

func TestMessagesOfTheSDK(t *testing.T) {
	for name, c := range map[string]struct {
		wire []byte
		want Message
	}{
		"handshake":         {[]byte("\x97\x01\x01\x00\xa0\x02\x80\xc3"), Message{Type: HandshakeRequest, TTL: -1, Version: 1, Migration: MigrateAlways, Stateful: true}},
		"first handshake":   {[]byte("\x92\x01\x01"), Message{Type: HandshakeRequest, TTL: -1, Version: 1}},
		"ping":              {[]byte("\x91\x03"), Message{Type: Ping, TTL: -1}},
		"shutdown":          {[]byte("\x93\x03\xa8shutdown\xa5fin:0"), Message{Type: Ping, TTL: -1, Pairs: []string{"shutdown", "fin:0"}}},
		"null list":         {[]byte("\x94\x0a\xc0\x81\xa4json\xc4\x01a\x80"), Message{Type: BroadcastData, TTL: -1, Payloads: []Payload{{"json", []byte("a")}}}},
		"unknown extension": {[]byte("\x95\x10\xa1u\xa1g\x83\x63\x92\x01\x81\xa1k\xc0\x02\x0a\x01\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x90"), Message{Type: UserJoinGroup, TTL: 10, User: "u", Group: "g"}},
		"content":           {[]byte("\x94\x06\xa1c\xc4\x01a\x81\x05\x01"), Message{Type: ConnectionData, TTL: -1, Connection: "c", Data: []byte("a"), Content: HandshakeContent}},
	} {
		var got Message
		if known, err := Parse(c.wire, &got); err != nil || !known || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
}

func TestUnknownTypesAreNoError(t *testing.T) {
	var got Message
	if known, err := Parse([]byte("\x93\x63\xc0\xc0"), &got); known || err != nil || got.Type != 99 {
		t.Errorf("got %t, %v, type %d", known, err, got.Type)
	}
}

func FuzzParse(f *testing.F) {
	for kind := range layouts {
		m := full
		m.Type = kind
		f.Add(record(f, Append(nil, &m)))
	}
	f.Add([]byte("\x93\x03\xa8shutdown\xa5fin:0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m Message
		if known, err := Parse(data, &m); err != nil || !known {
			return
		}
		wire := Append(nil, &m)
		var again Message
		if known, err := Parse(record(t, wire), &again); err != nil || !known {
			t.Fatalf("%+v was written as %x, which is not read: %v", m, wire, err)
		}
		if twice := Append(nil, &again); string(twice) != string(wire) {
			t.Errorf("%x was read and written as %x", wire, twice)
		}
	})
}
