package client

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestPollsAnsweredAtOnce: a server, or a proxy, that answers each poll with nothing and does not wait
// is not polled without a pause.
func TestPollsAnsweredAtOnce(t *testing.T) {
	t.Parallel()
	var polls atomic.Int32
	shaken := make(chan struct{})
	url := answering(t, func(w http.ResponseWriter, q *http.Request) {
		switch {
		case strings.HasSuffix(q.URL.Path, "/negotiate"):
			fmt.Fprint(w, `{"negotiateVersion":1,"connectionId":"i","connectionToken":"t","availableTransports":[{"transport":"LongPolling","transferFormats":["Text"]}]}`)
		case q.Method == http.MethodPost:
			if text, _ := io.ReadAll(q.Body); strings.Contains(string(text), "protocol") {
				close(shaken)
			}
		case q.Method == http.MethodGet && polls.Add(1) == 2:
			<-shaken
			fmt.Fprint(w, "{}\x1e")
		}
	})
	r := &rig{T: t, combo: combos()[0]}
	o := r.options()
	o.Transports = []Transport{LongPolling}
	c := r.open(url, o)
	if err := c.Start(r.within()); err != nil {
		t.Fatal(err)
	}
	const most = 10         // the pauses of nine polls take more than a second
	time.Sleep(time.Second) // nothing tells that no poll comes
	if n := polls.Load(); n > most {
		t.Errorf("%d polls in a second", n)
	}
}
