package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// opener counts the attempts to replace a carrier.
type opener struct {
	mu   sync.Mutex
	at   []time.Duration // since the beginning
	from time.Time
	open func(ctx context.Context, n int) (carrier, error)
}

// reopenBy has a session replace its carrier by open, whose n-th call has number n, from 1.
func reopenBy(c *HubConnection, open func(ctx context.Context, n int) (carrier, error)) *opener {
	o := &opener{from: time.Now(), open: open}
	c.session.Load().reopen = func(ctx context.Context) (carrier, error) {
		o.mu.Lock()
		o.at = append(o.at, time.Since(o.from))
		n, open := len(o.at), o.open
		o.mu.Unlock()
		return open(ctx, n)
	}
	return o
}

func (o *opener) times() []time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]time.Duration(nil), o.at...)
}

// brokenCarrier is a carrier that ends as soon as it delivered something.
type brokenCarrier struct {
	*tape
	words string
	after time.Duration
}

func newBrokenCarrier(words string, after time.Duration) *brokenCarrier {
	return &brokenCarrier{tape: newTape(), words: words, after: after}
}

func (c *brokenCarrier) Receive(feed func([]byte) error) error {
	if c.words != "" {
		if err := feed([]byte(c.words)); err != nil {
			return err
		}
	}
	select {
	case <-time.After(c.after):
	case <-c.over:
	}
	return errors.New("cut")
}

func stateful() Options {
	return Options{StatefulReconnect: true, ServerTimeout: -1, KeepAliveInterval: -1}
}

const firstWords = `{"type":9,"sequenceId":1}` + record

// cutNow breaks the carrier that a session stands on.
func cutNow(tape *tape) {
	tape.broken.Store(true)
	tape.Abort()
}

// TestResumptionsAreSpaced: carriers that break at once are replaced with longer and longer pauses. The first one
// behind a carrier that lasted is replaced at once. The session ends, with the reason, since nothing gets through.
func TestResumptionsAreSpaced(t *testing.T) {
	for name, words := range map[string]string{"nothing": "", "the first words": firstWords, "half a message": firstWords + `{"type":1,`} {
		t.Run(name, func(t *testing.T) {
			onTape(t, stateful(), WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
				s := c.session.Load()
				time.Sleep(time.Minute) // of the bubble
				o := reopenBy(c, func(context.Context, int) (carrier, error) { return newBrokenCarrier(words, 0), nil })
				cutNow(tape)
				<-s.ctx.Done()
				at := o.times()
				if len(at) < 10 || len(at) > 30 || at[0] != 0 {
					t.Errorf("carriers after %v", at)
				}
				if last := at[len(at)-1]; last < 14*time.Second || last > 20*time.Second {
					t.Errorf("the last carrier after %v", last)
				}
				if err := context.Cause(s.ctx); !strings.Contains(err.Error(), "broke before a message got through") {
					t.Errorf("ended by %v", err)
				}
			})
		})
	}
}

// TestResumptionsWithProgress: a message on each carrier keeps the session alive, without a storm.
func TestResumptionsWithProgress(t *testing.T) {
	onTape(t, stateful(), WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		s := c.session.Load()
		o := reopenBy(c, func(context.Context, int) (carrier, error) {
			reached, _ := s.out.progress()
			return newBrokenCarrier(fmt.Sprintf(`{"type":9,"sequenceId":%d}`, reached.received+1)+record+`{"type":1,"target":"X","arguments":[]}`+record, 0), nil
		})
		cutNow(tape)
		time.Sleep(time.Minute) // of the bubble
		if n := len(o.times()); s.ctx.Err() != nil || n < 200 || n > 700 {
			t.Errorf("%d carriers in a minute; %v", n, context.Cause(s.ctx))
		}
	})
}

// TestResumptionsThatLast: one break every ten seconds is no reason for a pause, nor to end.
func TestResumptionsThatLast(t *testing.T) {
	onTape(t, stateful(), WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		s := c.session.Load()
		if err := c.Send(t.Context(), "X"); err != nil { // the server's acknowledgement never comes
			t.Error(err)
		}
		time.Sleep(10 * time.Second) // of the bubble
		o := reopenBy(c, func(context.Context, int) (carrier, error) { return newBrokenCarrier(firstWords, 10*time.Second), nil })
		cutNow(tape)
		time.Sleep(5 * time.Minute) // of the bubble
		for i, at := range o.times() {
			if at != time.Duration(i)*10*time.Second {
				t.Errorf("carrier %d after %v", i, at)
			}
		}
		if s.ctx.Err() != nil {
			t.Errorf("ended by %v", context.Cause(s.ctx))
		}
	})
}

// TestBusyServerIsLeftAlone: Retry-After is heeded, and a time beyond what a resumption may take ends the session.
func TestBusyServerIsLeftAlone(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		onTape(t, stateful(), WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
			s := c.session.Load()
			time.Sleep(time.Minute) // of the bubble
			o := reopenBy(c, func(_ context.Context, n int) (carrier, error) {
				if n == 3 {
					return newBrokenCarrier(firstWords, time.Hour), nil
				}
				return nil, &HTTPError{StatusCode: status, RetryAfter: 4 * time.Second}
			})
			cutNow(tape)
			time.Sleep(30 * time.Second) // of the bubble
			if at := o.times(); len(at) != 3 || at[1] < 4*time.Second || at[2] < 8*time.Second {
				t.Errorf("attempts after %v", at)
			}
			o.mu.Lock()
			o.open = func(context.Context, int) (carrier, error) {
				return nil, &HTTPError{StatusCode: status, RetryAfter: time.Hour}
			}
			o.mu.Unlock()
			s.out.current().Abort()
			synctest.Wait()
			if s.ctx.Err() == nil || len(o.times()) != 4 || !isBusy(context.Cause(s.ctx)) {
				t.Errorf("%d attempts; ended by %v", len(o.times()), context.Cause(s.ctx))
			}
		})
	}
}

// TestStopWhileResuming: no pause keeps Stop for longer than it may take.
func TestStopWhileResuming(t *testing.T) {
	onTape(t, stateful(), WebSockets, func(t *testing.T, c *HubConnection, tape *tape) {
		s := c.session.Load()
		reopenBy(c, func(context.Context, int) (carrier, error) { return newBrokenCarrier("", 0), nil })
		cutNow(tape)
		time.Sleep(10 * time.Second) // of the bubble
		began := time.Now()
		c.current.stop(ErrStopped)
		<-s.ctx.Done()
		if took := time.Since(began); took > c.options.CloseTimeout {
			t.Errorf("Stop took %v", took)
		}
	})
}
