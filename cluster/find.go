package cluster

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/connection"
)

// find answers another node. It is the only place where this process gives a negotiation away.
func (h *Hub) find(question *find) *found {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.local == nil {
		return &found{}
	}
	if question.claims {
		if given, ok := h.local.HandOver(question.key, question.user); ok {
			h.moved.put(question.key, question.asking)
			h.node.counts.handedOver.Add(1)
			return &found{handover: &given}
		}
	}
	return h.ownerLocked(question.key)
}

// ownerLocked returns the owner of a connection, as far as this process knows it.
func (h *Hub) ownerLocked(key string) *found {
	if here, opened := h.local.Holds(key); here {
		return &found{owner: h.node.self, open: opened}
	}
	if owner := h.moved.get(key); owner != (process{}) {
		return &found{owner: owner, open: true}
	}
	return &found{forgets: h.moved.hasEvicted()}
}

// Find finds the owner of a connection that the registry of this process does not have. r is
// the request for it. If c is not nil, r would open a transport, and Find claims the
// negotiation, so that this process becomes the owner. forward serves requests at another
// owner. If it is nil, the connection may have come here in the meantime; otherwise no process
// has it. Find fails with the error of c.Admit or of r's context.
func (h *Hub) Find(r *http.Request, token string, c connection.Claimer) (forward connection.Forward, err error) {
	sealed, ok := h.node.sealer.open(h.name, token)
	if !ok || !h.node.enter() {
		return nil, nil
	}
	defer h.node.running.Done()
	owner := h.owners.get(sealed.key)
	if owner == (process{}) {
		if owner, err = h.locate(r, sealed, c); err != nil {
			return nil, err
		}
	}
	if owner == (process{}) || owner == h.node.self {
		return nil, nil
	}
	return h.forward(sealed.key, owner), nil
}

// locate returns the owner of a connection, or zero: this process, or none.
func (h *Hub) locate(r *http.Request, sealed opened, c connection.Claimer) (process, error) {
	h.mu.Lock()
	if sealed.home == h.node.self {
		// find holds mu from a handover to the note about it.
		known := h.ownerLocked(sealed.key)
		h.mu.Unlock()
		owner, _ := h.settle(r.Context(), sealed, known)
		return owner, nil
	}
	running := h.claims[sealed.key]
	switch {
	case running == nil && c == nil:
		h.mu.Unlock()
		owner, _, err := h.ask(r.Context(), sealed, nil, nil)
		return owner, err
	case running == nil:
		running = &claiming{done: make(chan struct{})}
		h.claims[sealed.key] = running
		h.mu.Unlock()
		h.claim(r, sealed, c, running)
		return running.owner, running.err
	}
	h.mu.Unlock()
	select {
	case <-running.done:
		return running.owner, running.err
	case <-r.Context().Done():
		return process{}, r.Context().Err()
	}
}

// claim asks the home for a negotiation. The end of the request does not end the claim, because
// the home may have given the negotiation away already.
func (h *Hub) claim(r *http.Request, sealed opened, c connection.Claimer, running *claiming) {
	defer func() {
		h.mu.Lock()
		delete(h.claims, sealed.key)
		h.mu.Unlock()
		close(running.done)
	}()
	ctx := context.WithoutCancel(r.Context())
	if refused := c.Admit(); refused != nil {
		owner, opened, err := h.ask(ctx, sealed, nil, nil)
		running.owner, running.err = owner, err
		// A process that shuts down lets the home open the connection. An answer 503 would make
		// an EventSource repeat its request behind the back of the official client.
		if !opened && !errors.Is(refused, connection.ErrStopped) {
			running.owner, running.err = process{}, refused
		}
		return
	}
	var failed error
	running.owner, _, running.err = h.ask(ctx, sealed, auth.UserFrom(r.Context()), func(given connection.Handover) {
		if failed = c.Adopt(given); failed == nil {
			h.node.counts.claimed.Add(1)
		}
	})
	running.err = cmp.Or(failed, running.err)
}

// homePatience is the time for which only the home of a connection is asked for its owner.
const homePatience = time.Second / 2

// ask asks the home of a connection for its owner, and whether a request has opened it there.
// With adopt it claims the negotiation and passes it to adopt. If the home takes long, ask asks
// the other nodes as well: an owner that they name has opened the connection, so that the home
// has nothing to give away.
func (h *Hub) ask(ctx context.Context, sealed opened, u *auth.User, adopt func(connection.Handover)) (owner process, opened bool, err error) {
	question := find{hub: h.name, key: sealed.key, claims: adopt != nil, asking: h.node.self}
	if u != nil {
		question.user = &auth.User{ID: u.ID} // its id decides
	}
	asking, stop := context.WithCancel(ctx)
	defer stop()
	late, named := h.askOthersLater(asking, stop, sealed)
	defer late.Stop()
	var known found
	if err := h.node.call(asking, sealed.home, findPath, &question, &known); err != nil {
		switch {
		case ctx.Err() != nil:
			return process{}, false, ctx.Err()
		case late.Stop():
			owner = h.askOthers(ctx, sealed)
		default:
			owner = <-named
		}
		if owner == (process{}) && adopt == nil { // a POST is lost, and its owner may only be slow
			for _, p := range append(h.node.members.others(ctx), sealed.home) {
				h.node.endAt(p, ending{h.name, sealed.key})
			}
		}
		return owner, owner != process{}, nil
	}
	if adopt != nil && known.handover != nil && known.handover.Key == sealed.key {
		adopt(*known.handover)
		return process{}, false, nil
	}
	owner, opened = h.settle(ctx, sealed, &known)
	return owner, opened, nil
}

// askOthersLater asks all nodes but the home after homePatience, unless late is stopped. The owner
// that they name, or zero, is sent to named. If there is one, it calls stop.
func (h *Hub) askOthersLater(ctx context.Context, stop func(), sealed opened) (late *time.Timer, named <-chan process) {
	answer := make(chan process, 1)
	return time.AfterFunc(homePatience, func() {
		var owner process
		if h.node.enter() {
			defer h.node.running.Done()
			owner = h.askOthers(ctx, sealed)
		}
		if answer <- owner; owner != (process{}) {
			stop()
		}
	}), answer
}

// settle returns the owner that the home has named. It keeps one that has opened the
// connection.
func (h *Hub) settle(ctx context.Context, sealed opened, known *found) (owner process, opened bool) {
	owner, opened = known.owner, known.open
	if known.forgets && owner == (process{}) {
		owner = h.askOthers(ctx, sealed)
		opened = owner != process{}
	}
	if opened && owner != h.node.self {
		h.owners.put(sealed.key, owner)
	}
	return owner, opened
}

// askOthers asks all nodes but the home for the owner of a connection, within a limit.
func (h *Hub) askOthers(ctx context.Context, sealed opened) process {
	key := sealed.key
	if asked := h.absent.get(key); time.Since(asked) < absence || !h.node.mayAskAll() {
		return process{}
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	all := slices.DeleteFunc(h.node.members.others(ctx), func(p process) bool { return p == sealed.home })
	answers := make(chan process, len(all))
	for _, other := range all {
		h.node.running.Go(func() {
			var known found
			_ = h.node.call(ctx, other, findPath, &find{hub: h.name, key: key, asking: h.node.self}, &known) // no owner if it fails
			answers <- known.owner
		})
	}
	for range all {
		if owner := <-answers; owner != (process{}) {
			h.owners.put(key, owner)
			return owner
		}
	}
	if ctx.Err() == nil {
		h.absent.put(key, time.Now())
		h.node.log.Debug("connection has no owner", "hub", h.name)
	}
	return process{}
}

// call asks another process a question and reads its answer. A process without a pid is any at
// its address. The question is asked once more if the stream breaks: none of this kind does harm
// twice.
func (n *Node) call(ctx context.Context, to process, path string, question, answer any) error {
	message, err := encode(question)
	if err != nil {
		return err
	}
	within, cancel := context.WithTimeout(ctx, n.askTimeout)
	defer cancel()
	peer := n.peers.to(to.address)
	got, err := peer.ask(within, to.pid, path, message)
	if errors.Is(err, errBroken) && within.Err() == nil {
		got, err = peer.ask(within, to.pid, path, message)
	}
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			peer.failed(ctx, err) // unless the caller has given up
		}
		return err
	}
	return decode(got, answer)
}

// request returns a request of the link.
func (n *Node) request(ctx context.Context, to process, path string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+to.address+path, body)
	if err == nil {
		r.Header.Set(forHeader, to.pid.String())
	}
	return r, err
}
