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
	asked   int // calls of Table
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
