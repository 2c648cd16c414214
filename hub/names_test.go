package hub_test

import (
	"fmt"
	"testing"

	"github.com/carillon-go/carillon/hub"
)

// Many names are as good as few: each receiver gets a message once, and those who are left out none.
func TestManyNames(t *testing.T) {
	for _, n := range []int{1, 16, 17, 100} {
		h := newLab(hub.Options{})
		a, b := connect(t, h, clientOptions{id: "a"}), connect(t, h, clientOptions{id: "b"})
		var names []string
		for i := range n {
			names = append(names, fmt.Sprint("g", i))
		}
		for _, name := range []string{names[0], names[n-1]} {
			for _, c := range []*client{a, b} {
				if err := h.Groups().Add(t.Context(), c.conn.id, name); err != nil {
					t.Fatal(err)
				}
			}
		}
		ids := append([]string{a.conn.id, a.conn.id}, names...)
		ids = append(ids, a.conn.id)
		_ = h.Clients().Groups(append(names, names...)...).Send(t.Context(), "M")
		_ = h.Clients().Clients(ids...).Send(t.Context(), "M")
		_ = h.Clients().AllExcept(append(names, b.conn.id)...).Send(t.Context(), "M")
		groups := 1
		if n > 1 {
			groups = 2
		}
		for range groups {
			a.want(`{"type":1,"target":"M","arguments":[]}`)
			b.want(`{"type":1,"target":"M","arguments":[]}`)
		}
		for range 2 { // by its id, and as one of all
			a.want(`{"type":1,"target":"M","arguments":[]}`)
		}
		_ = h.Clients().All().Send(t.Context(), "Last")
		a.want(`{"type":1,"target":"Last","arguments":[]}`)
		b.want(`{"type":1,"target":"Last","arguments":[]}`)
	}
}
