package endpoint

import (
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
)

// In a crowd that comes back no ticket that waits for its negotiation gives way to those that
// have negotiated, only to others that wait; and both kinds are bounded.
func TestTicketsOfACrowd(t *testing.T) {
	crowd := newTickets(Options{TicketLifetime: time.Hour})
	slow := digest(crowd.issue(&auth.User{ID: "slow"}))
	for range 5 * maxTickets {
		if crowd.redeem(digest(crowd.issue(&auth.User{}))) == nil {
			t.Fatal("a ticket is refused")
		}
		for _, q := range []*ticketQueue{&crowd.waiting, &crowd.negotiated} {
			if len(q.order) > 2*maxTickets || len(q.byKey) > maxTickets {
				t.Fatal("too many are kept:", len(q.order), len(q.byKey))
			}
		}
	}
	if crowd.redeem(slow) == nil {
		t.Error("the only one that waits gave way")
	}
	oldest := digest(crowd.issue(&auth.User{}))
	for range maxTickets {
		crowd.issue(&auth.User{})
	}
	if len(crowd.waiting.byKey) > maxTickets || crowd.redeem(oldest) != nil {
		t.Error("more wait than may:", len(crowd.waiting.byKey))
	}
}
