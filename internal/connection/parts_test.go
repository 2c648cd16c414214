package connection

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/transports"
)

func TestStateOnlyGrows(t *testing.T) {
	t.Parallel()
	for from := negotiated; from <= forgotten; from++ {
		for to := negotiated; to <= forgotten; to++ {
			l := lifecycle{state: from}
			if advanced := l.advance(to); advanced != (to > from) || l.state != max(from, to) {
				t.Errorf("from %d to %d: %v, %d", from, to, advanced, l.state)
			}
		}
	}
}

// deadlines is a ResponseWriter that keeps the last read deadline.
type deadlines struct {
	http.ResponseWriter
	last time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error { d.last = t; return nil }

func TestCutBodyIsNotExtended(t *testing.T) {
	t.Parallel()
	w := &deadlines{ResponseWriter: httptest.NewRecorder()}
	p := &bodyPatience{http.NewResponseController(w), time.Now()}
	var b body
	b.begin(w)
	b.extend(t.Context(), p, time.Minute)
	if !w.last.Equal(p.end) {
		t.Error("the time limit of a body is not extended")
	}
	b.cut()
	b.extend(t.Context(), p, time.Minute)
	if w.last.Equal(p.end) {
		t.Error("the time limit of a cut body is extended")
	}
}

func TestClosedCredentialsDoNotChange(t *testing.T) {
	t.Parallel()
	old, fresh := &auth.User{ID: "a"}, &auth.User{ID: "a"}
	c := credentials{user: old}
	if _, err := c.beginRefresh(&auth.User{ID: "b"}, 0); !errors.Is(err, ErrUserChanged) {
		t.Error(err)
	}
	if _, _, err := c.replace(fresh, fresh); err != nil || c.user != fresh {
		t.Error(err)
	}
	c.close()
	if _, err := c.beginRefresh(old, 0); !errors.Is(err, transports.ErrEnded) {
		t.Error(err)
	}
	if _, _, err := c.replace(old, old); !errors.Is(err, transports.ErrEnded) || c.user != fresh {
		t.Error(err)
	}
}

func TestIdleListMovesItsLast(t *testing.T) {
	t.Parallel()
	var l idleList
	a, b, c := &Connection{}, &Connection{}, &Connection{}
	for _, each := range []*Connection{a, b, c, b} {
		l.add(each)
	}
	l.remove(a)
	l.remove(a)
	if len(l.all) != 2 || l.all[0] != c || l.all[1] != b {
		t.Error(l.all)
	}
	l.remove(c)
	l.remove(b)
	if len(l.all) != 0 {
		t.Error(l.all)
	}
}
