package hub_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/carillon-go/carillon/hub"
)

// shortPages is a hub.Presence of processes whose pages end early, as those with long names do.
type shortPages struct {
	carrier
	ids    [][]string // of each process, sorted
	random *rand.Rand
}

func (*shortPages) AttachPresence(hub.Local) {}

func (s *shortPages) Survey(_ context.Context, q hub.Survey, take func(hub.Findings) bool) (answered, missing int) {
	for _, ids := range s.ids {
		begin, found := slices.BinarySearch(ids, q.After)
		if found {
			begin++
		}
		rest := ids[begin:]
		page := rest[:min(len(rest), 1+s.random.IntN(q.Max))]
		take(hub.Findings{Members: members(page...), More: len(page) < len(rest)})
	}
	return len(s.ids), 0
}

// All pages together have each connection of all processes once and in order, however short the
// answers of each process are.
func TestPagesOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // it has to come the same again
	for range 200 {
		p := &shortPages{ids: make([][]string, 1+random.IntN(4)), random: random}
		var want, got []string
		for i := range random.IntN(40) {
			id, at := fmt.Sprintf("%02d", i), random.IntN(len(p.ids))
			p.ids[at], want = append(p.ids[at], id), append(want, id)
		}
		h := newLoneLab(hub.Options{Presence: p})
		for after, size := "", 1+random.IntN(10); ; {
			page, err := h.Connections(t.Context(), hub.Audience{}, after, size)
			if err != nil || len(page.Members) > size || page.Next != "" && page.Next <= after {
				t.Fatalf("seed %d, after %q: %+v, %v", seed, after, page, err)
			}
			for _, m := range page.Members {
				got = append(got, m.ConnectionID)
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d: %v of %v gave %v", seed, p.ids, want, got)
		}
	}
}
