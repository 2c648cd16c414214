package cluster

import (
	"context"
	"errors"
	"sync"
	"time"
)

// After Drain, a forwarded poll waits for lastWait at most, so that clients that the load balancer
// still sends here do not poll without a pause. A WebSocket or an event stream that begins then
// lasts for lastStream.
const (
	lastWait   = time.Second
	lastStream = 5 * time.Second
)

// whenDrained calls cut when this process drains, or soon if it has drained. stop undoes that.
func (h *Hub) whenDrained(cut func()) (stop func() bool) {
	if h.leaving.Err() == nil {
		return context.AfterFunc(h.leaving, cut)
	}
	return time.AfterFunc(lastStream, cut).Stop
}

// Drain ends the requests of this process that wait in other ones: the owners answer polls with
// an empty 200, and the clients poll again. WebSockets and event streams are cut, and the clients
// connect again. Drain does not wait, and may be called repeatedly.
func (h *Hub) Drain() {
	if h.leaving.Err() != nil || !h.node.enter() {
		return
	}
	defer h.node.running.Done()
	h.leave()
	for _, p := range h.forwardsTo.processes() {
		h.node.running.Go(func() {
			var answer struct{}
			if err := h.node.call(h.node.closing, p, drainPath, drain{h.name, h.node.self.place()}, &answer); err != nil {
				h.node.log.Warn("polls not ended", "node", p.address, "error", err)
			}
		})
	}
}

// targets counts the requests that wait in other processes.
type targets struct {
	mu     sync.Mutex
	counts map[process]int
}

func (t *targets) add(p process, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[p] += n; t.counts[p] == 0 {
		delete(t.counts, p)
	}
}

func (t *targets) processes() (all []process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := range t.counts {
		all = append(all, p)
	}
	return all
}

// waits holds the forwarded requests that wait here, by the process that has forwarded them.
type waits struct {
	mu      sync.Mutex
	byPID   map[pid]map[*context.CancelCauseFunc]struct{}
	drained *table[bool] // by pid
}

// wait returns the context of a forwarded request. Only a GET waits for messages and ends when
// the forwarding process drains: the data of a POST must arrive.
func (h *Hub) wait(ctx context.Context, f *forwarded, from pid) (_ context.Context, stay, end context.CancelFunc) {
	if !isGet(string(f.Method)) {
		return ctx, func() {}, func() {}
	}
	return h.waits.begin(ctx, from, f.Wait)
}

// begin returns the context of a forwarded request, which ends like that of a request with a
// deadline when the forwarding process drains, until stay is called.
func (w *waits) begin(ctx context.Context, from pid, limit time.Duration) (_ context.Context, stay, end context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := func() {}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.drained.get(string(from[:])) && (limit <= 0 || limit > lastWait) {
		limit = lastWait
	}
	if limit > 0 {
		timer := time.AfterFunc(limit, func() { cancel(context.DeadlineExceeded) })
		stop = func() { timer.Stop() }
	}
	if w.byPID[from] == nil {
		w.byPID[from] = map[*context.CancelCauseFunc]struct{}{}
	}
	w.byPID[from][&cancel] = struct{}{}
	stay = func() {
		stop()
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.byPID[from], &cancel); len(w.byPID[from]) == 0 {
			delete(w.byPID, from)
		}
	}
	return expiring{ctx}, stay, func() {
		stay()
		cancel(nil)
	}
}

// drain ends the requests that a process has forwarded, and those that it will forward.
func (w *waits) drain(from pid) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drained.put(string(from[:]), true)
	for cancel := range w.byPID[from] {
		(*cancel)(context.DeadlineExceeded)
	}
}

// expiring is a context that fails with DeadlineExceeded if that is the cause of its end.
type expiring struct{ context.Context }

// Err implements context.Context.
func (e expiring) Err() error {
	if errors.Is(context.Cause(e.Context), context.DeadlineExceeded) {
		return context.DeadlineExceeded
	}
	return e.Context.Err()
}

// answerDrain answers a process that ends.
func (n *Node) answerDrain(d *drain) (any, error) {
	asking, err := d.Asking.process()
	if err != nil {
		return nil, err
	}
	n.known(d.Hub).waits.drain(asking.pid)
	return struct{}{}, nil
}
