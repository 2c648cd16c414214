package hub_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/hub"
)

// The groups of a connection have a bound in memory, whether their names are long or many. Those
// that it leaves make room.
func TestGroupsOfAConnectionAreBounded(t *testing.T) {
	t.Parallel()
	const bound = 4 << 20
	for name, size := range map[string]int{"short": 16, "long": 30 << 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := hub.New(hub.Options{})
			enter(t, h, &sink{id: "id", got: make(chan struct{}, 1)}, "json")
			group := func(n int) string { return strconv.Itoa(n) + strings.Repeat("x", size) }
			n := 0
			for ; h.Groups().Add(t.Context(), "id", group(n)) == nil; n++ {
				if n*size > bound {
					t.Fatal("there is no bound")
				}
			}
			if n < bound/(size+300) {
				t.Errorf("the bound is %d groups", n)
			}
			if err := h.Groups().Add(t.Context(), "id", group(0)); err != nil {
				t.Errorf("a group that it is in: %v", err)
			}
			if err := h.Groups().Remove(t.Context(), "id", group(0)); err != nil {
				t.Error(err)
			}
			if err := h.Groups().Add(t.Context(), "id", group(n)); size > 100 && err != nil {
				t.Errorf("behind one that it has left: %v", err)
			}
		})
	}
}
