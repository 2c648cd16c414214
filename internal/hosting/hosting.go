// Package hosting has the hubs of the configuration file, as publishing, webhooks and the endpoint
// for redirected clients use them. It is made of a hub.Hub and the decisions of the file that are
// about its messages. The endpoints of the hubs are in internal/gateway.
package hosting

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/accesskey"
	"github.com/carillon-go/carillon/internal/fold"
)

// GroupsClaim is the claim that carries the groups of a decision of the backend to the connection,
// also in another process. Nothing else sets it: neither the claims that a backend names, which are
// not sent to it either, nor those of tokens.
const GroupsClaim = "carillon.groups"

// Options configure a Hub.
type Options struct {
	// Options are those of the hub.Hub. Options.Name is the name in logs, and New sets it.
	hub.Options
	// SlowTargets are the policies for slow consumers by target, instead of
	// Options.SlowConsumers. Targets ignore case.
	SlowTargets map[string]hub.SlowPolicy
	// Invoke are the targets that clients may invoke, as patterns of Matches that ignore case. An invocation of any other
	// target fails as that of a method that does not exist. Default none.
	Invoke []string
}

// Hub is one hub of the file. It is safe for concurrent use.
type Hub struct {
	// Name is the name in the file.
	Name string
	// Hub has the clients. It has no methods: see hub.Hub.HandleUnknown.
	Hub *hub.Hub

	shared bool
	slow   map[string]hub.SlowPolicy // by the upper case of the target
	keys   atomic.Pointer[accesskey.Keys]
}

// New returns a hub with a name.
func New(name string, o Options) *Hub {
	o.Name = name
	if !slices.Contains(o.Invoke, "*") { // a filter costs each invocation a little
		o.Filters = append([]hub.Filter{{Invoke: admit(o.Invoke)}}, o.Filters...)
	}
	h := &Hub{Name: name, shared: o.Backplane != nil || o.Commands != nil || o.Presence != nil, slow: make(map[string]hub.SlowPolicy, len(o.SlowTargets))}
	for target, policy := range o.SlowTargets {
		h.slow[fold.Upper(target)] = policy
	}
	h.Hub = hub.New(o.Options)
	h.SetKeys(&accesskey.Keys{})
	return h
}

// IsShared reports whether other processes may have clients of the hub.
func (h *Hub) IsShared() bool { return h.shared }

// Keys returns the current keys of the hub. It is never nil. The keys of a new hub admit nobody.
func (h *Hub) Keys() *accesskey.Keys { return h.keys.Load() }

// SetKeys replaces the keys of the hub.
func (h *Hub) SetKeys(k *accesskey.Keys) { h.keys.Store(k) }

// errNoMethod has the text of the hub for a method that does not exist, so that clients do not
// learn which targets exist.
var errNoMethod = hub.NewError("Method does not exist.")

type next = func(context.Context) (any, error)

// admit returns the filter of invocations. It is the only place that decides which targets
// clients may invoke.
func admit(targets []string) func(context.Context, *hub.Invocation, next) (any, error) {
	folded := Folded(targets)
	return func(ctx context.Context, inv *hub.Invocation, next next) (any, error) {
		if !Matches(folded, fold.Upper(inv.Target)) {
			return nil, errNoMethod
		}
		return next(ctx)
	}
}

// Folded returns patterns that, with names in upper case, match as these do in any case.
func Folded(patterns []string) []string {
	all := make([]string, len(patterns))
	for i, pattern := range patterns {
		all[i] = fold.Upper(pattern)
	}
	return all
}

// Matches reports whether one of patterns matches a name. A pattern is a name, or the beginning of
// names with * at its end. * alone matches every name.
func Matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		start, isStart := strings.CutSuffix(pattern, "*")
		return name == pattern || isStart && strings.HasPrefix(name, start)
	})
}

// Clients returns the audiences for a message to a target, with the policy of that target for slow
// consumers.
func (h *Hub) Clients(target string) hub.Clients[hub.Sender] {
	clients := h.Hub.Clients()
	if policy, ok := h.slow[fold.Upper(target)]; ok {
		return clients.SlowConsumers(policy)
	}
	return clients
}

// SendEncoded is hub.Hub.SendEncoded with the policy of the message's target for slow consumers.
func (h *Hub) SendEncoded(ctx context.Context, to hub.Audience, in hub.Message) error {
	if policy, ok := h.slow[fold.Upper(in.Method)]; ok {
		in.Delivery = &frame.Delivery{Policy: policy}
	}
	return h.Hub.SendEncoded(ctx, to, in)
}

// Hubs are all hubs: those of the file, in its order, and those that were added. It is safe for
// concurrent use.
type Hubs struct {
	mu     sync.RWMutex
	all    []*Hub          // is replaced, never changed
	byName map[string]*Hub // by the upper case of the name
}

// NewHubs returns the hubs. Their names must differ in more than case.
func NewHubs(all ...*Hub) *Hubs {
	hs := &Hubs{}
	for _, h := range all {
		hs.Add(h)
	}
	return hs
}

// All returns the hubs. It must not be changed.
func (hs *Hubs) All() []*Hub {
	hs.mu.RLock()
	defer hs.mu.RUnlock()
	return hs.all
}

// Add adds a hub. Its name must differ from the others in more than case.
func (hs *Hubs) Add(h *Hub) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	hs.all = append(slices.Clone(hs.all), h)
	if hs.byName == nil {
		hs.byName = map[string]*Hub{}
	}
	hs.byName[fold.Upper(h.Name)] = h
}

// Find returns the hub with a name, which ignores case, or nil.
func (hs *Hubs) Find(name string) *Hub {
	hs.mu.RLock()
	defer hs.mu.RUnlock()
	return hs.byName[fold.Upper(name)]
}
