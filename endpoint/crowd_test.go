package endpoint

import (
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
)

// In a crowd that comes back nobody's ticket gives way to those that were used already, only
// to those that wait; and what is kept of either is bounded.
func TestTicketsOfACrowd(t *testing.T) {
	crowd := newTickets(Options{TicketLifetime: time.Hour})
	slow := digest(crowd.issue(&auth.User{ID: "slow"}))
	for range 5 * maxTickets {
		if crowd.redeem(digest(crowd.issue(&auth.User{}))) == nil {
			t.Fatal("a ticket is refused")
		}
		if len(crowd.order) > 2*maxTickets {
			t.Fatal("what is over is kept:", len(crowd.order))
		}
	}
	if crowd.redeem(slow) == nil {
		t.Error("the only one that waits gave way")
	}
	oldest := digest(crowd.issue(&auth.User{}))
	for range maxTickets {
		crowd.issue(&auth.User{})
	}
	if len(crowd.waiting) > maxTickets || crowd.redeem(oldest) != nil {
		t.Error("more wait than may:", len(crowd.waiting))
	}
}
