package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
)

// pupil is a connection.Learner.
type pupil struct {
	mu      sync.Mutex
	news    json.RawMessage
	table   json.RawMessage
	learned []string
	asked   int           // calls of Table
	hangs   chan struct{} // Learn returns when it is closed; nil: at once
}

func (p *pupil) News() json.RawMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	news := p.news
	p.news = nil
	return news
}

func (p *pupil) Table() json.RawMessage {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return p.table
}

func (p *pupil) Learn(verdicts json.RawMessage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(verdicts) > 0 {
		p.learned = append(p.learned, string(verdicts))
		if p.hangs != nil {
			<-p.hangs
		}
	}
}

func (p *pupil) knows(t *testing.T, want ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if got := slices.Sorted(slices.Values(p.learned)); !slices.Equal(got, want) {
		t.Errorf("learned %q, want %q", got, want)
	}
}

func (s *site) taught() bool { return s.node.Hub(testHub).taught.Load() }

// News reach every other node once, and a node that begins asks one other node for all that it
// knows.
func TestNodesLearnTogether(t *testing.T) {
	t.Parallel()
	sites := newSites(t, 3)
	var all []*pupil
	for _, s := range sites {
		p := &pupil{}
		s.hub.Share(p)
		all = append(all, p)
	}
	for _, s := range sites {
		await(t, "the answer to a node that has begun", s.taught)
	}
	for i, p := range all {
		p.mu.Lock()
		p.news, p.table = json.RawMessage(fmt.Sprintf(`["news of %d"]`, i)), json.RawMessage(fmt.Sprintf(`["table of %d"]`, i))
		p.asked = 0
		p.mu.Unlock()
	}
	for _, p := range all {
		await(t, "the news", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.learned) >= 2 })
	}
	late := newSite(t, "late", listen(t, "127.0.0.1:0"), Options{Secrets: sites[0].secrets, Peers: []string{sites[0].node.self.address, sites[1].node.self.address}})
	begins := &pupil{}
	late.hub.Share(begins)
	await(t, "the table", late.taught)
	all[0].knows(t, `["news of 1"]`, `["news of 2"]`)
	all[1].knows(t, `["news of 0"]`, `["news of 2"]`)
	all[2].knows(t, `["news of 0"]`, `["news of 1"]`)
	begins.mu.Lock()
	defer begins.mu.Unlock()
	if len(begins.learned) != 1 || all[0].asked+all[1].asked != 1 || all[2].asked != 0 {
		t.Errorf("learned %q; asked %d, %d and %d times", begins.learned, all[0].asked, all[1].asked, all[2].asked)
	}
}

// When Tell returns, all others know the news. One that hangs does not keep the news from the rest.
func TestTellTellsAtOnce(t *testing.T) {
	t.Parallel()
	sites := newSites(t, 3)
	for _, s := range sites {
		s.awaitMembers(t, 2)
	}
	p, others := &pupil{}, []*pupil{{}, {}}
	sites[0].hub.Share(p)
	sites[1].hub.Share(others[0])
	sites[2].hub.Share(others[1])
	var want []string
	tell := func() {
		want = append(want, fmt.Sprintf(`["news %02d"]`, len(want)))
		p.mu.Lock()
		p.news = json.RawMessage(want[len(want)-1])
		p.mu.Unlock()
		sites[0].hub.Tell(t.Context())
	}
	for range 20 {
		tell()
		others[0].knows(t, want...)
		others[1].knows(t, want...)
	}
	others[1].hangs = make(chan struct{})
	var telling sync.WaitGroup
	telling.Go(tell)
	await(t, "the news", func() bool { others[0].mu.Lock(); defer others[0].mu.Unlock(); return len(others[0].learned) == 21 })
	close(others[1].hangs)
	telling.Wait()

	lone, err := New(Options{Secrets: sites[0].secrets, Advertise: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	lone.Hub(testHub).Tell(t.Context()) // it does not serve
}

// A message that is not valid, or for a hub that learns nothing, harms nothing.
func TestMessagesOfGossipThatAreNotValid(t *testing.T) {
	t.Parallel()
	sites := newSites(t, 2)
	p, to := &pupil{table: json.RawMessage(`["table"]`)}, sites[1].node.self
	sites[1].hub.Share(p)
	for text, want := range map[string]string{
		`{"hub":7}`: "", `{"news":7,"hub":[]}`: "", `7`: "", `"x"`: "", `[]`: "",
		`{}`: `{}`, `{"hub":"/other","news":["x"],"asks":true}`: `{}`,
		`{"hub":"/chat","asks":true}`: `{"table":["table"]}`, `{"hub":"/chat","news":["x"],"later":1}`: `{}`,
	} {
		var answer json.RawMessage
		err := sites[0].node.call(t.Context(), to, learnPath, json.RawMessage(text), &answer)
		if string(answer) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s, %v", text, answer, err)
		}
	}
	await(t, "the answer to a node that has begun", sites[1].taught)
	p.knows(t, `["x"]`)
}
