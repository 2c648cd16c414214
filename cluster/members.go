package cluster

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Member is another node of the cluster.
type Member struct {
	Address string
	Up      bool // it answered at the last check
}

// checkInterval is the interval at which members are looked up and checked.
const checkInterval = 5 * time.Second

// members finds the other nodes. It is safe for concurrent use.
type members struct {
	node   *Node
	static []string
	dns    string // host:port; "": none

	checked chan struct{} // closed after the first check
	ready   func()        // closes it

	mu       sync.Mutex
	resolved []string // of dns, at the last success
	all      []*member
}

type member struct {
	process       // of the last hello in either direction; no pid: there was none
	up, down bool // at the last check; neither: there was none
	self     bool
}

func newMembers(n *Node, o Options) (*members, error) {
	m := &members{node: n, dns: o.DNS, checked: make(chan struct{})}
	m.ready = sync.OnceFunc(func() { close(m.checked) })
	for _, address := range append(slices.Clone(o.Peers), o.DNS) {
		if address == "" {
			continue
		}
		if err := CheckAddress(address); err != nil {
			return nil, err
		}
	}
	m.static = slices.Compact(slices.Sorted(slices.Values(o.Peers)))
	return m, nil
}

// Members returns the other nodes that this one knows, in the order of their addresses.
func (n *Node) Members() (all []Member) {
	n.members.mu.Lock()
	defer n.members.mu.Unlock()
	for _, m := range n.members.all {
		if !m.self {
			all = append(all, Member{m.address, m.up})
		}
	}
	return all
}

// others returns the processes of the other nodes that have said hello, or answered it. It waits
// until the first check has ended, or ctx ends, or this process.
func (m *members) others(ctx context.Context) (all []process) {
	select {
	case <-m.checked:
	case <-ctx.Done():
	case <-m.node.closing.Done():
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, member := range m.all {
		if !member.self && member.pid != (pid{}) {
			all = append(all, member.process)
		}
	}
	return all
}

// unheard returns the number of other nodes that have neither said hello nor answered it.
func (m *members) unheard() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, member := range m.all {
		if !member.self && member.pid == (pid{}) {
			n++
		}
	}
	return n
}

// watch checks the members until ctx ends.
func (m *members) watch(ctx context.Context) {
	next := time.NewTicker(checkInterval)
	defer next.Stop()
	for {
		m.check(ctx)
		m.ready()
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
	}
}

// check looks up the members and says hello to each.
func (m *members) check(ctx context.Context) {
	addresses := m.addresses(ctx)
	now := make([]*member, len(addresses))
	m.mu.Lock()
	for i, address := range addresses {
		if now[i] = m.atLocked(address); now[i] == nil {
			now[i] = &member{process: process{address: address}}
		}
	}
	m.all = now
	m.mu.Unlock()
	var greeting sync.WaitGroup
	for _, member := range now {
		greeting.Go(func() { m.greet(ctx, member) })
	}
	greeting.Wait()
}

// atLocked returns the member at an address, or nil.
func (m *members) atLocked(address string) *member {
	i := slices.IndexFunc(m.all, func(m *member) bool { return m.address == address })
	if i < 0 {
		return nil
	}
	return m.all[i]
}

// heard notes the process that says hello. It need not be checked before it is asked.
func (m *members) heard(from hello) {
	of, err := parsePID(from.PID)
	m.mu.Lock()
	defer m.mu.Unlock()
	if member := m.atLocked(from.Address); member != nil && err == nil {
		member.pid = of
	}
}

// greet updates a member from the answer to a hello.
func (m *members) greet(ctx context.Context, to *member) {
	m.mu.Lock()
	was := *to
	m.mu.Unlock()
	answer, err := m.sayHello(ctx, was.address)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		to.pid = answer
	}
	to.up, to.down, to.self = err == nil, err != nil, to.pid == m.node.self.pid
	switch {
	case to.self, ctx.Err() != nil:
	case to.up && !was.up:
		m.node.log.Info("node up", "address", to.address, "pid", to.pid.String())
	case to.down && !was.down:
		m.node.log.Warn("node down", "address", to.address, "error", err)
	}
}

func (m *members) sayHello(ctx context.Context, address string) (answer pid, err error) {
	var theirs hello
	if err := m.node.call(ctx, process{address: address}, helloPath, m.node.hello(), &theirs); err != nil {
		return pid{}, err
	}
	return parsePID(theirs.PID)
}

// addresses returns the addresses of all nodes, sorted.
func (m *members) addresses(ctx context.Context) []string {
	all := slices.Clone(m.static)
	if m.dns != "" {
		all = append(all, m.resolve(ctx)...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	return slices.DeleteFunc(all, func(address string) bool { return address == m.node.self.address })
}

// resolve returns the addresses of the DNS name. If the lookup fails, those of the last one
// are valid.
func (m *members) resolve(ctx context.Context) []string {
	found, err := lookUp(ctx, m.dns)
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		m.resolved = found
	case ctx.Err() == nil:
		m.node.log.Warn("nodes not found", "error", err)
	}
	return m.resolved
}

func lookUp(ctx context.Context, name string) (all []string, err error) {
	host, port, err := net.SplitHostPort(name)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	for _, ip := range found {
		all = append(all, netip.AddrPortFrom(ip.Unmap(), uint16(number)).String())
	}
	return all, err
}
