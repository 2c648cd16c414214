package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// survey is a hub.Survey of another process. The numbers are those of package hub.
type survey struct {
	hub string
	hub.Survey
}

// surveyed is the answer to survey.
type surveyed struct{ hub.Findings }

// The limits of surveys. The asking process waits no longer than surveyTime.
const (
	surveyTime       = time.Second
	maxSurveysToPeer = 4 // at a time, so that one process that hangs has few
)

var errNoSurvey = errors.New("the hub answers no questions about its connections")

// AttachPresence implements hub.Presence.
func (h *Hub) AttachPresence(local hub.Local) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.survey = local.Survey
}

// Survey implements hub.Presence. A node that is down, and one that does not know the question, is
// missing.
func (h *Hub) Survey(ctx context.Context, q hub.Survey, take func(hub.Findings) (enough bool)) (answered, missing int) {
	if !h.node.enter() {
		return 0, len(h.node.Members())
	}
	defer h.node.running.Done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	others := h.node.members.others(ctx)
	if missing = h.node.members.unheard(); ctx.Err() != nil && len(others) == 0 {
		return 0, max(missing, 1) // the others may not be known yet
	}
	findings := make(chan *hub.Findings, len(others))
	for _, other := range others {
		h.node.running.Go(func() { findings <- h.surveyAt(ctx, other, &survey{h.name, q}) })
	}
	for range others {
		f := <-findings
		if f == nil {
			missing++
			continue
		}
		if answered++; take(*f) {
			break
		}
	}
	return answered, missing
}

// surveyAt returns the findings of another process, or nil if it has not answered.
func (h *Hub) surveyAt(ctx context.Context, to process, question *survey) *hub.Findings {
	slots := h.node.peers.to(to.address).surveys
	select {
	case slots <- struct{}{}:
		defer func() { <-slots }()
	case <-ctx.Done():
		return nil
	}
	var answer surveyed
	if err := h.node.call(ctx, to, surveyPath, question, &answer); err != nil || !answer.fits(&question.Survey) {
		return nil
	}
	return &answer.Findings
}

// fits reports whether the members can be the answer to a question.
func (s *surveyed) fits(q *hub.Survey) bool {
	return len(s.Members) == 0 || len(s.Members) <= q.Max && s.Members[0].ConnectionID > q.After
}

// answerSurvey answers a survey of another process later, because it looks at all connections.
func (n *Node) answerSurvey(question *survey) (any, error) {
	h := n.known(question.hub)
	if h == n.unknown {
		return &surveyed{}, nil
	}
	h.mu.Lock()
	survey := h.survey
	h.mu.Unlock()
	if survey == nil {
		return nil, errNoSurvey
	}
	return later(func() (any, error) {
		ctx, cancel := context.WithTimeout(n.serving, surveyTime)
		defer cancel()
		findings, err := survey(ctx, question.Survey)
		return &surveyed{findings}, err
	}), nil
}

func (s *survey) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(appendText(b, s.hub), uint64(s.Kind)), uint64(s.Of.Kind)) //nolint:gosec // package hub has checked them
	b = appendTexts(appendTexts(b, s.Of.Names), s.Of.Except)
	return binary.AppendUvarint(appendText(b, s.Group, s.After), uint64(s.Max)) //nolint:gosec // not negative
}

func (s *survey) decode(b []byte) error {
	d := &decoder{b: b}
	s.hub, s.Kind = d.text(), hub.SurveyKind(d.int())
	s.Of = hub.Audience{Kind: hub.AudienceKind(d.int()), Names: d.texts(), Except: d.texts()}
	s.Group, s.After, s.Max = d.text(), d.text(), d.int()
	return d.err()
}

// hasMore is the flag of surveyed.
const hasMore = 1

func (s *surveyed) appendTo(b []byte) []byte {
	b = binary.AppendUvarint(binary.AppendUvarint(b, flag(s.More, hasMore)), uint64(s.Count)) //nolint:gosec // not negative
	b = binary.AppendUvarint(b, uint64(len(s.Members)))
	for _, m := range s.Members {
		b = appendText(b, m.ConnectionID, m.UserID)
	}
	return b
}

// decode also fails if the members are not sorted, and if there are more after none.
func (s *surveyed) decode(b []byte) error {
	d := &decoder{b: b}
	s.Findings = hub.Findings{More: d.number()&hasMore != 0, Count: d.int()}
	for n, last := d.number(), ""; n > 0 && !d.failed; n-- {
		m := hub.Member{ConnectionID: d.text(), UserID: d.text()}
		d.failed = d.failed || m.ConnectionID <= last
		last, s.Members = m.ConnectionID, append(s.Members, m)
	}
	d.failed = d.failed || s.More && len(s.Members) == 0
	return d.err()
}

func appendTexts(b []byte, texts []string) []byte {
	return appendText(binary.AppendUvarint(b, uint64(len(texts))), texts...)
}

func (d *decoder) texts() (all []string) {
	for n := d.number(); n > 0 && !d.failed; n-- {
		all = append(all, d.text())
	}
	return all
}

// int returns a number that is not negative.
func (d *decoder) int() int {
	n := d.number()
	if n > math.MaxInt {
		d.failed = true
		return 0
	}
	return int(n)
}
