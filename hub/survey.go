package hub

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// surveyTimeout is the time that other processes have to answer a survey.
const surveyTimeout = time.Second

// The limits of a survey. An answer with members has at most maxPageBytes of ids, unless a single
// member has more.
const (
	maxSurveyNames = 1000
	maxSurveyBytes = 256 << 10
	maxPageBytes   = 512 << 10
)

// SurveyKind is the kind of a survey.
type SurveyKind int

// The kinds of surveys.
const (
	CountConnections SurveyKind = iota + 1
	ListConnections
	AnyConnection // Count of its findings is 1 if there is one, and otherwise 0
	UserInGroup   // the same for the user in the audience, if that user is in Group
)

// Survey is a question about the connections of an audience.
type Survey struct {
	Kind SurveyKind
	Of   Audience
	// Group is the group of UserInGroup.
	Group string
	// After and Max are those of Hub.Connections, for ListConnections.
	After string
	Max   int
}

// Findings are the answer of one process to a survey, or of several together.
type Findings struct {
	Count   int
	Members []Member // sorted by ConnectionID, each once
	More    bool     // there may be others after the last of Members
}

// Presence asks the other processes of a hub about connections. Its methods are called
// concurrently.
type Presence interface {
	// AttachPresence is called once, by New. Local.Survey answers the surveys of other
	// processes.
	AttachPresence(local Local)
	// Survey asks all other processes, until ctx ends, and passes their findings to take, one
	// at a time. It returns at once if take reports that they are enough. answered and missing
	// are the numbers of other processes that have answered, and that have not.
	Survey(ctx context.Context, q Survey, take func(Findings) (enough bool)) (answered, missing int)
}

var (
	errSurveySize = errors.New("hub: a question about connections has at most 1,000 names, and 256 KiB of them")
	errSurveyKind = errors.New("hub: the kind of the question or of its audience is not known")
)

func (q *Survey) check() error {
	size := len(q.Group) + len(q.After)
	for _, names := range [][]string{q.Of.Names, q.Of.Except} {
		for _, name := range names {
			size += len(name)
		}
	}
	switch {
	case len(q.Of.Names)+len(q.Of.Except) > maxSurveyNames || size > maxSurveyBytes:
		return errSurveySize
	case q.Of.Kind < Everyone || q.Of.Kind > OfUsers:
		return errSurveyKind
	}
	return nil
}

// anyProcess asks this process and all others a question with the answer yes or no.
func (h *Hub) anyProcess(ctx context.Context, q Survey) (yes bool, missing int, err error) {
	missing, err = h.survey(ctx, q, func(f Findings) (enough bool) {
		yes = f.Count > 0
		return yes
	})
	return yes, missing, err
}

// survey asks this process and then all others, and passes their findings to take until take
// reports that they are enough. It returns the number of other processes that have not answered.
func (h *Hub) survey(ctx context.Context, q Survey, take func(Findings) (enough bool)) (missing int, err error) {
	own, err := Local{h}.Survey(ctx, q)
	if err != nil || take(own) || h.presence == nil && h.commands == nil {
		return 0, err
	}
	limited, cancel := context.WithTimeout(ctx, surveyTimeout)
	defer cancel()
	var others subscribers
	var counting sync.WaitGroup
	counting.Go(func() { others = h.countSubscribers(limited, q.Of) })
	answered, enough := 0, false
	if h.presence != nil {
		answered, missing = h.presence.Survey(limited, q, func(f Findings) bool {
			enough = take(f)
			return enough
		})
	}
	if enough {
		cancel()
	}
	counting.Wait()
	if !enough && ctx.Err() == nil && others.have(&q, answered) {
		enough = take(Findings{Count: 1})
	}
	if enough {
		return 0, nil
	}
	return max(missing, others.missing(&q, answered)), context.Cause(ctx)
}

// subscribers are the other processes that share a backplane.
type subscribers struct {
	subscriptions int // for the names of an audience
	processes     int // all of them; -1: unknown
}

// countSubscribers counts by the backplane. Without a backplane, Presence knows all processes.
func (h *Hub) countSubscribers(ctx context.Context, of Audience) (s subscribers) {
	counter, ok := h.backplane.(SubscriptionCounter)
	if !ok {
		if h.commands != nil && h.presence == nil {
			s.processes = -1
		}
		return s
	}
	if of.Kind == ToConnections {
		excepted := newNameSet(of.Except)
		of.Names = slices.DeleteFunc(slices.Clone(of.Names), excepted.has)
	}
	var err error
	if s.subscriptions, s.processes, err = counter.Subscribers(ctx, of); err != nil {
		s.processes = -1
	}
	return s
}

// have reports whether a connection is found by the subscriptions alone, when answered processes
// have not found one.
func (s *subscribers) have(q *Survey, answered int) bool {
	return q.isAnsweredBySubscriptions() && s.subscriptions > 0 && s.processes > answered
}

// isAnsweredBySubscriptions reports whether a subscription for the audience is a connection that
// is wanted. All processes subscribe for Everyone, and the connections of a group or a user may all
// be exceptions.
func (q *Survey) isAnsweredBySubscriptions() bool {
	return q.Kind == AnyConnection && (q.Of.Kind == ToConnections || q.Of.Kind != Everyone && len(q.Of.Except) == 0)
}

// missing returns the largest number of processes that may have found something, but were not
// asked. 1 stands for an unknown number. A membership of a user may be kept without connections.
func (s *subscribers) missing(q *Survey, answered int) int {
	rest := max(s.processes-answered, 0)
	switch {
	case s.processes < 0:
		return 1
	case q.Kind == UserInGroup:
		return rest
	}
	return min(s.subscriptions, rest)
}

// Survey returns the findings in this process. It waits for nothing. It fails with the cause of
// ctx, and if the question is too long or of an unknown kind.
func (l Local) Survey(ctx context.Context, q Survey) (f Findings, err error) {
	if err := q.check(); err != nil {
		return f, err
	}
	switch here := &l.hub.local; q.Kind {
	case CountConnections:
		f.Count = here.count(ctx, q.Of)
	case ListConnections:
		f = here.page(ctx, &q)
	case AnyConnection:
		f.Count = here.countAny(ctx, q.Of, func(*Session) bool { return true })
	case UserInGroup:
		f.Count = l.hub.countIn(ctx, q.Of, q.Group)
	default:
		return f, errSurveyKind
	}
	return f, context.Cause(ctx)
}

func (f *Findings) last() string { return f.Members[len(f.Members)-1].ConnectionID }

// merge adds the members of another process. At most size of all remain. Those after the last
// member of a process that has more do not: another one of its members may come before them.
func (f *Findings) merge(other Findings, size int) {
	all := slices.Concat(f.Members, other.Members)
	slices.SortFunc(all, compareMembers)
	all = slices.CompactFunc(all, func(a, b Member) bool { return a.ConnectionID == b.ConnectionID })
	for _, part := range []*Findings{f, &other} {
		if part.More {
			last := part.last() // the other part may have cut it off
			all = slices.DeleteFunc(all, func(m Member) bool { return m.ConnectionID > last })
		}
	}
	f.More = f.More || other.More || len(all) > size
	f.Members = all[:min(len(all), size)]
}

func compareMembers(a, b Member) int { return strings.Compare(a.ConnectionID, b.ConnectionID) }
