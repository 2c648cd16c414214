package cluster

import (
	"context"
	"errors"
	"net"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/carillon-go/carillon/hub"
)

// surveys has a site answer surveys.
func (s *site) surveys(answer func(context.Context, hub.Survey) (hub.Findings, error)) {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.survey = answer
}

// finds has a site answer each survey with the same findings.
func (s *site) finds(f hub.Findings) {
	s.surveys(func(context.Context, hub.Survey) (hub.Findings, error) { return f, nil })
}

// countAt asks all others, and returns the sum of what they have counted.
func countAt(ctx context.Context, s *site) (sum, answered, missing int) {
	answered, missing = s.hub.Survey(ctx, hub.Survey{Kind: hub.CountConnections}, func(f hub.Findings) bool {
		sum += f.Count
		return false
	})
	return sum, answered, missing
}

func expectCount(t *testing.T, s *site, want ...int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if sum, answered, missing := countAt(ctx, s); !slices.Equal([]int{sum, answered, missing}, want) {
		t.Errorf("%d of %d processes, %d missing, want %d", sum, answered, missing, want)
	}
}

// A survey reaches every other node as it was asked, and the findings come back.
func TestSurveysReachAllNodes(t *testing.T) {
	t.Parallel()
	sites := newSites(t, 3)
	q := hub.Survey{
		Kind: hub.ListConnections, Of: hub.Audience{Kind: hub.InGroups, Names: []string{"g\xff", ""}, Except: []string{"x"}},
		Group: "k", After: "a", Max: 2,
	}
	asked := make(chan hub.Survey, 2)
	want := [][]hub.Member{{{ConnectionID: "b", UserID: "ann \xff"}, {ConnectionID: "c"}}, nil}
	for i, members := range want {
		sites[i+1].surveys(func(_ context.Context, q hub.Survey) (hub.Findings, error) {
			asked <- q
			return hub.Findings{Count: 1, Members: members, More: members != nil}, nil
		})
	}
	var got [][]hub.Member
	answered, missing := sites[0].hub.Survey(t.Context(), q, func(f hub.Findings) bool {
		if f.More != (f.Members != nil) || f.Count != 1 {
			t.Errorf("%+v", f)
		}
		got = append(got, f.Members)
		return false
	})
	slices.SortFunc(got, func(a, b []hub.Member) int { return len(b) - len(a) })
	if answered != 2 || missing != 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %d answered, %d missing", got, answered, missing)
	}
	for range 2 {
		if got := <-asked; !reflect.DeepEqual(got, q) {
			t.Errorf("%+v, want %+v", got, q)
		}
	}
}

// Of five others one answers, one hangs, one does not know the question, one ends while it answers,
// and one has never been heard of.
func TestSurveyOfNodesWithFaults(t *testing.T) {
	t.Parallel()
	sites := newSites(t, 2)
	answers, ends := sites[0], sites[1]
	hangs, old := newFakeNode(t, sites[0].secrets), newFakeNode(t, sites[0].secrets)
	old.refuses = true
	asks := newSite(t, "asks", listen(t, "127.0.0.1:0"), Options{
		Secrets: sites[0].secrets, Peers: []string{answers.node.self.address, ends.node.self.address, hangs.address, old.address, "127.0.0.1:1"},
	})
	asks.awaitMembers(t, 4)
	answers.finds(hub.Findings{Count: 7})
	asked := make(chan struct{})
	ask := sync.OnceFunc(func() { close(asked) })
	ends.surveys(func(ctx context.Context, _ hub.Survey) (hub.Findings, error) {
		ask()
		<-ctx.Done()
		return hub.Findings{}, ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	taken := make(chan int, 5)
	go func() {
		<-asked
		ends.stop()
		<-hangs.asked
		<-old.asked
		taken <- <-taken
		cancel() // as the deadline of the hub does
	}()
	answered, missing := asks.hub.Survey(ctx, hub.Survey{Kind: hub.CountConnections}, func(f hub.Findings) bool {
		taken <- f.Count
		return false
	})
	if got := <-taken; got != 7 || answered != 1 || missing != 4 {
		t.Errorf("%d of %d processes, %d missing", got, answered, missing)
	}
	asks.stop()
	if _, answered, missing := countAt(t.Context(), asks); answered != 0 || missing != 5 {
		t.Errorf("after the end: %d answered, %d missing", answered, missing)
	}
}

// An answer that is enough ends a survey, whatever the other nodes do.
func TestSurveyEndsWithEnough(t *testing.T) {
	t.Parallel()
	sites := newSites(t, 3)
	sites[1].finds(hub.Findings{Count: 1})
	sites[2].surveys(func(ctx context.Context, _ hub.Survey) (hub.Findings, error) {
		<-ctx.Done()
		return hub.Findings{}, ctx.Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if answered, _ := sites[0].hub.Survey(ctx, hub.Survey{Kind: hub.AnyConnection}, func(f hub.Findings) bool { return f.Count > 0 }); answered != 1 || ctx.Err() != nil {
		t.Errorf("%d answered, %v", answered, ctx.Err())
	}
}

// A node without the hub has no connections; one whose hub cannot answer is missing, and so is one
// whose answer does not fit the question.
func TestSurveysThatAreNotAnswered(t *testing.T) {
	t.Parallel()
	sites := newSites(t, 2)
	expectCount(t, sites[0], 0, 0, 1)
	sites[1].finds(hub.Findings{Count: 1})
	expectCount(t, sites[0], 1, 1, 0)
	sites[1].surveys(func(context.Context, hub.Survey) (hub.Findings, error) { return hub.Findings{}, errors.New("no") })
	expectCount(t, sites[0], 0, 0, 1)
	for _, members := range [][]hub.Member{{{ConnectionID: "a"}}, {{ConnectionID: "b"}, {ConnectionID: "c"}, {ConnectionID: "d"}}} {
		sites[1].finds(hub.Findings{Members: members})
		q := hub.Survey{Kind: hub.ListConnections, After: "a", Max: 2}
		if _, missing := sites[0].hub.Survey(t.Context(), q, func(hub.Findings) bool { return false }); missing != 1 {
			t.Errorf("%v: %d missing", members, missing)
		}
	}
	elsewhere := site{registry: &registry{hub: sites[0].node.Hub("/elsewhere")}}
	expectCount(t, &elsewhere, 0, 1, 0)

	early := newSite(t, "early", listen(t, "127.0.0.1:0"), Options{Secrets: sites[0].secrets, DNS: "none.invalid:1"})
	early.node.members.checked = make(chan struct{}) // as before the first check
	ended, end := context.WithCancel(t.Context())
	end()
	if _, answered, missing := countAt(ended, early); answered != 0 || missing != 1 {
		t.Errorf("before the first check: %d answered, %d missing", answered, missing)
	}
}

// Surveys do not delay other questions, and no more than maxLater of them run at a time.
func TestSurveysAreBounded(t *testing.T) {
	t.Parallel()
	sites := newSites(t, 2)
	node := sites[1].node
	running, release := make(chan struct{}, maxLater+1), make(chan struct{})
	sites[1].surveys(func(context.Context, hub.Survey) (hub.Findings, error) {
		running <- struct{}{}
		<-release
		return hub.Findings{Count: 1}, nil
	})
	near, far := net.Pipe()
	defer far.Close()
	serving := make(chan struct{})
	go func() {
		defer close(serving)
		defer near.Close()
		node.answerAll(near)
	}()
	o := newOther(far)
	question := (&survey{testHub, hub.Survey{Kind: hub.CountConnections}}).appendTo(nil)
	ask := func(id uint64) {
		t.Helper()
		_ = far.SetDeadline(time.Now().Add(patience))
		if _, err := far.Write(appendQuestion(nil, id, surveyPath, question)); err != nil {
			t.Fatal(err)
		}
	}
	for id := range uint64(maxLater) {
		ask(id)
		<-running
	}
	ask(maxLater)
	if f := o.read(t); f.kind != refusalKind || f.id != maxLater || string(f.content) != errLater.Error() {
		t.Errorf("%+v", f)
	}
	if _, err := far.Write(appendQuestion(nil, maxLater+1, findPath, (&find{hub: testHub, asking: sites[0].node.self}).appendTo(nil))); err != nil {
		t.Fatal(err)
	}
	if f := o.read(t); f.kind != answerKind || f.id != maxLater+1 {
		t.Errorf("%+v", f)
	}
	close(release)
	for range maxLater {
		var answer surveyed
		if f := o.read(t); f.kind != answerKind || answer.decode(f.content) != nil || answer.Count != 1 {
			t.Errorf("%+v", f)
		}
	}
	expectCount(t, sites[0], 1, 1, 0)
	_ = far.Close()
	<-serving
}

// A node that hangs gets few surveys at a time; the rest ends with its deadline.
func TestSurveysOfANodeThatHangs(t *testing.T) {
	t.Parallel()
	secrets := [][]byte{randomSecret()}
	hanging := newFakeNode(t, secrets)
	asks := newSite(t, "asks", listen(t, "127.0.0.1:0"), Options{Secrets: secrets, Peers: []string{hanging.address}})
	asks.awaitMembers(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int, 3*maxSurveysToPeer)
	for range cap(ended) {
		go func() {
			_, _, missing := countAt(ctx, asks)
			ended <- missing
		}()
	}
	for range maxSurveysToPeer {
		<-hanging.asked
	}
	cancel()
	for range cap(ended) {
		if missing := <-ended; missing != 1 {
			t.Errorf("%d missing", missing)
		}
	}
	if n := len(hanging.asked); n != 0 {
		t.Errorf("%d questions too many", n)
	}
}
