package hub_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/backplane"
	"github.com/carillon-go/carillon/hub"
)

func connections(ids ...string) hub.Audience {
	return hub.Audience{Kind: hub.ToConnections, Names: ids}
}
func inGroups(names ...string) hub.Audience { return hub.Audience{Kind: hub.InGroups, Names: names} }
func ofUsers(ids ...string) hub.Audience    { return hub.Audience{Kind: hub.OfUsers, Names: ids} }

func except(to hub.Audience, ids ...string) hub.Audience {
	to.Except = ids
	return to
}

// expectPresence compares count, pages of each size, and existence of an audience with its members.
func expectPresence(t *testing.T, h *hub.Hub, to hub.Audience, want string) {
	t.Helper()
	ctx := t.Context()
	if c, err := h.Count(ctx, to); err != nil || c != (hub.Count{Connections: len(want)}) {
		t.Errorf("%v: %+v, %v, want %d", to, c, err, len(want))
	}
	if found, missing, err := h.Exists(ctx, to); err != nil || missing != 0 || found != (want != "") {
		t.Errorf("%v: found %v, %d missing, %v", to, found, missing, err)
	}
	for size := range 5 {
		got, after := "", ""
		for {
			p, err := h.Connections(ctx, to, after, size)
			if err != nil || p.Missing != 0 || size > 0 && len(p.Members) > size {
				t.Errorf("%v: %+v, %v", to, p, err)
			}
			for _, m := range p.Members {
				got += m.ConnectionID
				if isAlice := m.ConnectionID == "a" || m.ConnectionID == "b"; m.UserID != map[bool]string{true: "alice"}[isAlice] {
					t.Errorf("%v: %+v", to, m)
				}
			}
			if after = p.Next; after == "" {
				break
			}
		}
		if got != want {
			t.Errorf("%v in pages of %d: %s, want %s", to, size, got, want)
		}
	}
}

// Every audience is counted, listed and found, each connection once, and listeners of events like
// other clients.
func TestPresence(t *testing.T) {
	h := newLab(hub.Options{})
	expectPresence(t, h, hub.Audience{}, "")
	all := audience(t, h)
	dial(t, h, clientOptions{id: "l", info: hub.ConnectInfo{Listens: true, Groups: []string{"k"}}})
	dial(t, h, clientOptions{id: "x"}) // without a handshake
	for _, m := range []struct{ id, group string }{{"a", "g"}, {"b", "g"}, {"b", "k"}, {"c", "k"}} {
		if err := h.Groups().Add(t.Context(), m.id, m.group); err != nil {
			t.Fatal(err)
		}
	}
	everyone := hub.Audience{}
	for _, step := range []struct {
		to   hub.Audience
		want string
	}{
		{everyone, "abcl"},
		{except(everyone, "a", "l", "none"), "bc"},
		{except(everyone, "a", "b", "c", "l"), ""},
		{connections("b", "none", "a", "b", "l"), "abl"},
		{except(connections("a", "b"), "a"), "b"},
		{connections(), ""},
		{inGroups("g"), "ab"},
		{inGroups("g", "k", "g", "none"), "abcl"},
		{except(inGroups("g", "k"), "b"), "acl"},
		{inGroups("none"), ""},
		{ofUsers("alice", "bob", "alice"), "ab"},
		{except(ofUsers("alice"), "a"), "b"},
		{ofUsers(""), ""},
	} {
		expectPresence(t, h, step.to, step.want)
	}
	all["b"].close()
	expectPresence(t, h, inGroups("g", "k"), "acl")
	expectPresence(t, h, ofUsers("alice"), "a")
}

// A page ends before it has too many bytes, but never without a connection.
func TestPresenceOfLongNames(t *testing.T) {
	h := newLab(hub.Options{})
	long := strings.Repeat("u", 300<<10)
	for _, id := range []string{"a", "b", "c"} {
		connect(t, h, clientOptions{id: id, user: long})
	}
	connect(t, h, clientOptions{id: "d", user: long + long})
	for after, want := range map[string]int{"": 1, "a": 1, "c": 1, "d": 0} {
		if p, err := h.Connections(t.Context(), hub.Audience{}, after, 10); err != nil || len(p.Members) != want {
			t.Errorf("after %q: %d connections, %v, want %d", after, len(p.Members), err, want)
		}
	}
}

// others is a hub.Presence that answers for other processes.
type others struct {
	carrier
	local    hub.Local
	findings []hub.Findings
	asked    []hub.Survey
	within   bool // the survey has had a deadline
	missing  int
}

func (o *others) AttachPresence(local hub.Local) { o.local = local }

func (o *others) Survey(ctx context.Context, q hub.Survey, take func(hub.Findings) bool) (answered, missing int) {
	_, o.within = ctx.Deadline()
	o.asked = append(o.asked, q)
	for i, f := range o.findings {
		if take(f) {
			return i + 1, 0
		}
	}
	return len(o.findings), o.missing
}

// members returns anonymous connections.
func members(ids ...string) (all []hub.Member) {
	for _, id := range ids {
		all = append(all, hub.Member{ConnectionID: id})
	}
	return all
}

// Other processes are asked through Options.Presence, or Options.Commands.
func TestPresenceInOtherProcesses(t *testing.T) {
	t.Parallel()
	o := &others{missing: 2, findings: []hub.Findings{
		{Count: 2, Members: members("b", "d"), More: true}, {Count: 1, Members: members("b", "c", "d", "e", "f")}, {},
	}}
	h := newLoneLab(hub.Options{Commands: o})
	connect(t, h, clientOptions{id: "a"})
	if c, err := h.Count(t.Context(), hub.Audience{}); err != nil || c != (hub.Count{Connections: 4, Missing: 2}) || !o.within {
		t.Errorf("%+v, %v, with a deadline: %v", c, err, o.within)
	}
	for size, want := range map[int]hub.Page{
		10: {Members: members("a", "b", "c", "d"), Next: "d", Missing: 2}, 2: {Members: members("a", "b"), Next: "b", Missing: 2},
	} {
		if p, err := h.Connections(t.Context(), hub.Audience{}, "", size); err != nil || !reflect.DeepEqual(p, want) {
			t.Errorf("%+v, %v, want %+v", p, err, want)
		}
	}
	asked := len(o.asked)
	if found, missing, err := h.Exists(t.Context(), hub.Audience{}); !found || missing != 0 || err != nil || len(o.asked) != asked {
		t.Errorf("found %v, %d missing, %v; %d questions", found, missing, err, len(o.asked)-asked)
	}
	if found, missing, err := h.Exists(t.Context(), inGroups("g")); !found || missing != 0 || err != nil {
		t.Errorf("found %v, %d missing, %v", found, missing, err)
	}
	o.findings = nil
	if found, missing, err := h.Exists(t.Context(), inGroups("g")); found || missing != 2 || err != nil {
		t.Errorf("found %v, %d missing, %v", found, missing, err)
	}
	q := hub.Survey{Kind: hub.UserInGroup, Of: ofUsers("alice"), Group: "g"}
	connect(t, h, clientOptions{id: "b", user: "alice"})
	for want := range 2 {
		if f, err := o.local.Survey(t.Context(), q); err != nil || f.Count != want {
			t.Errorf("%+v, %v, want %d", f, err, want)
		}
		if err := h.Groups().Add(t.Context(), "b", "g"); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Groups().Add(t.Context(), "b", "k"); err != nil {
		t.Fatal(err)
	}
	f, err := o.local.Survey(t.Context(), hub.Survey{Kind: hub.ListConnections, Of: inGroups("g", "k"), Max: 2})
	if want := []hub.Member{{ConnectionID: "b", UserID: "alice"}}; err != nil || f.More || !slices.Equal(f.Members, want) {
		t.Errorf("%+v, %v, want %+v", f, err, want)
	}
	if _, err := o.local.Survey(t.Context(), hub.Survey{Kind: hub.UserInGroup + 1}); err == nil {
		t.Error("a survey of an unknown kind has no error")
	}
}

// waiting is a hub.Presence of a process that hangs.
type waiting struct{ others }

func (*waiting) Survey(ctx context.Context, _ hub.Survey, take func(hub.Findings) bool) (answered, missing int) {
	take(hub.Findings{Count: 1, Members: members("z")})
	<-ctx.Done()
	return 1, 1
}

// Other processes have a second, and less if the caller waits less. Commands that go through a
// backplane do not take presence from the link.
func TestPresenceOfAProcessThatHangs(t *testing.T) {
	t.Parallel()
	w := &waiting{}
	h := newLoneLab(hub.Options{Commands: w, Backplane: &spy{}})
	if w.attached || w.local == (hub.Local{}) {
		t.Errorf("attached for commands: %v, for presence: %v", w.attached, w.local != hub.Local{})
	}
	if c, err := h.Count(t.Context(), hub.Audience{}); c != (hub.Count{Connections: 1, Missing: 1}) || err != nil {
		t.Errorf("%+v, %v", c, err)
	}
	if p, err := h.Connections(t.Context(), hub.Audience{}, "", 0); len(p.Members) != 1 || p.Missing != 1 || err != nil {
		t.Errorf("%+v, %v", p, err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Millisecond, errCarrier)
	defer cancel()
	if _, err := h.Count(ctx, hub.Audience{}); !errors.Is(err, errCarrier) {
		t.Error(err)
	}
}

// counter is a backplane that knows subscriptions.
type counter struct {
	spy
	subscriptions, processes int
	err                      error
	of                       hub.Audience
}

func (c *counter) Subscribers(_ context.Context, of hub.Audience) (subscriptions, processes int, err error) {
	c.of = of
	return c.subscriptions, c.processes, c.err
}

// Subscriptions show that connections exist, and how many processes may have others. Those of
// processes that have answered do not.
func TestPresenceBySubscriptions(t *testing.T) {
	t.Parallel()
	everyone, group, exceptIt := hub.Audience{}, inGroups("g"), except(connections("x", "y"), "y")
	for _, c := range []struct {
		name                     string
		to                       hub.Audience
		subscriptions, processes int
		answered, missing        int // of two linked processes
		err                      error
		found                    bool
		missingFound             int // by Exists
		missingCount             int // by Count and Connections
	}{
		{"a subscription", group, 1, 5, 0, 0, nil, true, 0, 1},
		{"none", group, 0, 5, 0, 0, nil, false, 0, 0},
		{"everybody", everyone, 5, 5, 0, 0, nil, false, 5, 5},
		{"nobody else", everyone, 0, 0, 0, 0, nil, false, 0, 0},
		{"an exception", except(group, "x"), 2, 5, 0, 0, nil, false, 2, 2},
		{"an exception in none", except(group, "x"), 0, 5, 0, 0, nil, false, 0, 0},
		{"a connection", exceptIt, 1, 5, 0, 0, nil, true, 0, 1},
		{"a failure", group, 0, 0, 0, 0, errCarrier, false, 1, 1},
		{"a failure with an answer", group, 0, 0, 1, 0, errCarrier, false, 1, 1},
		{"all have answered", group, 2, 2, 2, 0, nil, false, 0, 0},
		{"all but one", group, 2, 3, 2, 0, nil, true, 0, 1},
		{"few of them", group, 3, 5, 1, 0, nil, true, 0, 3},
		{"one is missing", group, 0, 2, 1, 1, nil, false, 1, 1},
		{"one that is missing has it", group, 1, 2, 1, 1, nil, true, 0, 1},
	} {
		b := &counter{subscriptions: c.subscriptions, processes: c.processes, err: c.err}
		o := hub.Options{Backplane: b}
		if c.answered+c.missing > 0 {
			o.Presence = &others{findings: make([]hub.Findings, c.answered), missing: c.missing}
		}
		h := newLoneLab(o)
		found, missing, err := h.Exists(t.Context(), c.to)
		if found != c.found || missing != c.missingFound || err != nil {
			t.Errorf("%s: found %v, %d missing, %v", c.name, found, missing, err)
		}
		if c.name == "a connection" && !slices.Equal(b.of.Names, []string{"x"}) {
			t.Errorf("%s: asked for %v", c.name, b.of.Names)
		}
		if got, err := h.Count(t.Context(), c.to); got != (hub.Count{Missing: c.missingCount}) || err != nil {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
		if got, err := h.Connections(t.Context(), c.to, "", 0); got.Missing != c.missingCount || err != nil {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}

// Without a way to ask other processes, one is missing.
func TestPresenceThatIsNotKnown(t *testing.T) {
	t.Parallel()
	for want, o := range []hub.Options{{}, {Commands: &carrier{}}, {Backplane: &spy{}}} {
		want = min(want, 1)
		if found, missing, err := newLoneLab(o).Exists(t.Context(), hub.Audience{}); found || missing != want || err != nil {
			t.Errorf("%+v: found %v, %d missing, %v", o, found, missing, err)
		}
	}
	if _, missing, err := newLoneLab(hub.Options{Backplane: &spy{}, Presence: &others{}}).Exists(t.Context(), hub.Audience{}); missing != 0 || err != nil {
		t.Errorf("%d missing, %v", missing, err)
	}
}

// Hubs that share a broker and no link find each other's members, and do not count their own
// subscriptions.
func TestPresenceThroughABroker(t *testing.T) {
	t.Parallel()
	var joined backplane.Memory
	var hubs [3]*hub.Hub
	for i := range hubs {
		hubs[i] = newLoneLab(hub.Options{Backplane: backplane.New(joined.Broker(), backplane.Options{Hub: "Lab"})})
	}
	here, there := hubs[0], hubs[1]
	c := connect(t, here, clientOptions{id: "here", user: "alice"})
	connect(t, there, clientOptions{id: "there", user: "bob"})
	for _, id := range []string{"here", "there"} {
		if err := here.Groups().Add(t.Context(), id, "of "+id); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(to hub.Audience, found bool, count int, missing int) {
		t.Helper()
		if got, gotMissing, err := here.Exists(t.Context(), to); got != found || gotMissing != 0 || err != nil {
			t.Errorf("%v: found %v, %d missing, %v", to, got, gotMissing, err)
		}
		if got, err := here.Count(t.Context(), to); err != nil || got != (hub.Count{Connections: count, Missing: missing}) {
			t.Errorf("%v: %+v, %v", to, got, err)
		}
	}
	expect(hub.Audience{}, true, 1, 2)
	for _, to := range []hub.Audience{connections("here"), ofUsers("alice"), inGroups("of here")} {
		expect(to, true, 1, 0)
	}
	for _, to := range []hub.Audience{connections("there"), ofUsers("bob"), inGroups("of there")} {
		expect(to, true, 0, 1)
	}
	c.close() // the subscriptions for its user and its group linger
	for _, to := range []hub.Audience{connections("here"), ofUsers("alice"), inGroups("of here"), connections("none"), ofUsers("")} {
		expect(to, false, 0, 0)
	}
	if err := there.Groups().Remove(t.Context(), "there", "of there"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); ; {
		found, missing, err := here.Exists(t.Context(), inGroups("of there"))
		if !found && missing == 0 && err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("found %v, %d missing, %v", found, missing, err)
		}
		time.Sleep(10 * time.Millisecond) // nothing reports that a subscription lingers no longer
	}
}

// Audiences have limits, and the caller's context ends everything.
func TestPresenceRefuses(t *testing.T) {
	h := newLab(hub.Options{})
	ended, end := context.WithCancelCause(t.Context())
	end(errCarrier)
	names := make([]string, 1001)
	for name, ask := range map[string]func(ctx context.Context, to hub.Audience) error{
		"Count":       func(ctx context.Context, to hub.Audience) error { _, err := h.Count(ctx, to); return err },
		"Exists":      func(ctx context.Context, to hub.Audience) error { _, _, err := h.Exists(ctx, to); return err },
		"Connections": func(ctx context.Context, to hub.Audience) error { _, err := h.Connections(ctx, to, "", 0); return err },
	} {
		if err := ask(ended, hub.Audience{}); !errors.Is(err, errCarrier) {
			t.Errorf("%s: %v", name, err)
		}
		for _, to := range []hub.Audience{
			{Kind: hub.OfUsers + 1}, {Kind: -1}, ofUsers(names...), except(ofUsers(names[:500]...), names[:501]...), ofUsers(strings.Repeat("u", 256<<10+1)),
		} {
			if err := ask(t.Context(), to); err == nil {
				t.Errorf("%s of kind %d with %d names: no error", name, to.Kind, len(to.Names))
			}
		}
		if err := ask(t.Context(), ofUsers(names[:1000]...)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever comes and goes between the pages and during them, a connection that is there from the
// first page to the last one is on exactly one of them.
func TestPagesWhileConnectionsComeAndGo(t *testing.T) {
	t.Parallel()
	h := newLoneLab(hub.Options{})
	enterAs := func(id int) (leave func()) {
		s := h.Connect(&sink{id: fmt.Sprintf("%05d", id)}, hub.ConnectInfo{Transport: "WebSockets", Binary: true})
		_ = s.Receive([]byte(`{"protocol":"json","version":1}` + "\x1e"))
		for _, group := range []string{"g", "k"} {
			if err := h.Groups().Add(t.Context(), fmt.Sprintf("%05d", id), group); err != nil {
				t.Error(err)
			}
		}
		return func() { s.Disconnected(nil) }
	}
	var stays []string
	for id := 0; id < 6000; id += 3 {
		t.Cleanup(enterAs(id))
		stays = append(stays, fmt.Sprintf("%05d", id))
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // others come and go
		defer close(stopped)
		leaves := map[int]func(){}
		defer func() {
			for _, leave := range leaves {
				leave()
			}
		}()
		for {
			select {
			case <-stop:
				return
			default:
			}
			id := rand.N(2000)*3 + 1
			if leave := leaves[id]; leave != nil {
				leave()
				delete(leaves, id)
			} else {
				leaves[id] = enterAs(id)
			}
		}
	}()
	for _, to := range []hub.Audience{{}, inGroups("g"), inGroups("g", "k")} {
		for _, size := range []int{7, 100, 1000} {
			if got := always(t, h, to, size); !slices.Equal(got, stays) {
				t.Errorf("%v in pages of %d: %d of %d connections, or not in order", to, size, len(got), len(stays))
			}
		}
	}
	close(stop)
	<-stopped
}

// always returns the connections on all pages whose number is divisible by three.
func always(t *testing.T, h *hub.Hub, to hub.Audience, size int) (ids []string) {
	t.Helper()
	for after := ""; ; {
		p, err := h.Connections(t.Context(), to, after, size)
		if err != nil || p.Next != "" && p.Next <= after {
			t.Fatalf("after %q: next %q, %v", after, p.Next, err)
		}
		for _, m := range p.Members {
			if n, _ := strconv.Atoi(m.ConnectionID); n%3 == 0 {
				ids = append(ids, m.ConnectionID)
			}
		}
		if after = p.Next; after == "" {
			return ids
		}
	}
}

// crowd connects members, all of them in a group.
func crowd(b testing.TB, n int) *hub.Hub {
	h := newLoneLab(hub.Options{})
	for i := range n {
		id := strconv.Itoa(i)
		enter(b, h, &sink{id: id}, "json")
		if err := h.Groups().Add(b.Context(), id, "g"); err != nil {
			b.Fatal(err)
		}
	}
	return h
}

// Counting allocates nothing for each member.
func TestCountAllocations(t *testing.T) {
	for _, to := range []hub.Audience{{}, inGroups("g"), except(inGroups("g"), "1")} {
		allocations := func(members int) float64 {
			h := crowd(t, members)
			return testing.AllocsPerRun(20, func() { _, _ = h.Count(t.Context(), to) })
		}
		if few, many := allocations(1), allocations(2000); many > few+2 {
			t.Errorf("%v: %v allocations for 2000 clients, %v for one", to, many, few)
		}
	}
}

func BenchmarkCount(b *testing.B) {
	h := crowd(b, 10_000)
	for name, to := range map[string]hub.Audience{"all": {}, "group": inGroups("g"), "except": except(hub.Audience{}, "1")} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = h.Count(b.Context(), to)
			}
		})
	}
	b.Run("page", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = h.Connections(b.Context(), hub.Audience{}, "5", 100)
		}
	})
}
