package cluster

import (
	"encoding/json"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/connection"
	"github.com/carillon-go/carillon/transports"
)

// compactMessages are messages of both kinds with everything that they can contain.
func compactMessages() []compact {
	p := process{newPID(), "[2001:db8::1]:8301"}
	expires := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	u := (&auth.User{ID: "ann \xff", Claims: map[string]any{"role": "r"}, Expires: expires, ClockSkew: time.Minute}).WithTicket(auth.NewTicket("\x00\xff"))
	u = encodeUser(u).decode() // which fixes when it ends
	return []compact{
		&find{hub: "/chat", key: testKey, asking: p},
		&find{hub: "/chat", key: testKey, claims: true, asking: p, user: encodeUser(&auth.User{ID: "ann"}).decode()},
		&find{hub: "/chat", key: testKey, claims: true, asking: p, user: u},
		&found{},
		&found{forgets: true},
		&found{owner: p},
		&found{owner: p, open: true},
		&found{handover: &connection.Handover{}},
		&found{handover: &connection.Handover{
			ID: "id", Key: testKey, User: u, Origin: "https://a \xff", Stateful: []transports.Type{transports.WebSockets, transports.LongPolling},
			Silence: time.Minute, Age: 3 * time.Second, Offer: json.RawMessage(`{"a":1}`),
		}},
		&survey{"/chat", hub.Survey{Kind: hub.CountConnections}},
		&survey{"/chat", hub.Survey{
			Kind: hub.ListConnections, Of: hub.Audience{Kind: hub.OfUsers, Names: []string{"", "ann \xff"}, Except: []string{"a"}},
			Group: "g", After: "a\xff", Max: 1000,
		}},
		&surveyed{},
		&surveyed{hub.Findings{Count: math.MaxInt}},
		&surveyed{hub.Findings{Count: 2, More: true, Members: []hub.Member{{ConnectionID: "a", UserID: "ann \xff"}, {ConnectionID: "b\xff"}}}},
	}
}

func TestCompactMessages(t *testing.T) {
	t.Parallel()
	for _, m := range compactMessages() {
		again := reflect.New(reflect.TypeOf(m).Elem()).Interface().(compact)
		encoded := m.appendTo(nil)
		if err := again.decode(append(encoded, "of a later release"...)); err != nil || !reflect.DeepEqual(again, m) {
			t.Errorf("%+v: %+v, %v", m, again, err)
		}
		for i := range encoded {
			if err := again.decode(encoded[:i]); err == nil {
				t.Errorf("%+v: decoded from %d of %d bytes", m, i, len(encoded))
			}
		}
	}
	if (&find{asking: process{address: "a:1"}}).decode(appendText(appendProcess(appendText([]byte{0}, "/chat", ""), process{address: "a:1"}), "{")) == nil {
		t.Error("a user that is not JSON")
	}
	for _, bad := range []hub.Findings{
		{Members: []hub.Member{{ConnectionID: "b"}, {ConnectionID: "a"}}}, {Members: []hub.Member{{ConnectionID: "a"}, {ConnectionID: "a"}}},
		{Members: []hub.Member{{}}}, {More: true}, {Count: -1},
	} {
		if new(surveyed).decode((&surveyed{bad}).appendTo(nil)) == nil {
			t.Errorf("%+v has been decoded", bad)
		}
	}
}

// Whatever another node sends: a message that decodes stays the same, apart from a user.
func FuzzCompactMessages(f *testing.F) {
	for _, m := range compactMessages() {
		f.Add(m.appendTo(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, m := range []compact{&find{}, &found{}, &survey{}, &surveyed{}} {
			if m.decode(b) != nil {
				continue
			}
			switch m := m.(type) {
			case *find:
				m.user = nil
			case *found:
				if m.handover != nil {
					m.handover.User = nil
				}
			}
			again := reflect.New(reflect.TypeOf(m).Elem()).Interface().(compact)
			if err := again.decode(m.appendTo(nil)); err != nil || !reflect.DeepEqual(again, m) {
				t.Errorf("%+v: %+v, %v", m, again, err)
			}
		}
	})
}
