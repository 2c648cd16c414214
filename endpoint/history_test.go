package endpoint_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	sse "github.com/r3labs/sse/v2"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
)

// remembering is a hub that keeps three events, and its endpoint.
func remembering(t *testing.T) (*httptest.Server, *endpoint.Endpoint, *hub.Hub, <-chan struct{}) {
	t.Helper()
	return listenable(t, endpoint.Options{Events: endpoint.Events{Enabled: true, Groups: byQuery, History: 3}}, (*httptest.Server).Start)
}

var epochs = regexp.MustCompile(`id: [A-Z0-9]{8}-`)

// until reads a stream up to the end of what is wanted, with epochs written as E, and
// tells the epoch.
func until(t *testing.T, body io.Reader, end string) (text, epoch string) {
	t.Helper()
	var read bytes.Buffer
	for !bytes.HasSuffix(read.Bytes(), []byte(end+"\r\n\r\n")) {
		if _, err := io.CopyN(&read, body, 1); err != nil {
			t.Fatalf("%q: %v", read.String(), err)
		}
	}
	found := epochs.FindString(read.String())
	return epochs.ReplaceAllString(read.String(), "id: E-"), strings.TrimSuffix(strings.TrimPrefix(found, "id: "), "-")
}

func again(t *testing.T, server *httptest.Server, lastID string) io.Reader {
	t.Helper()
	return listen(t, server, "?group=a", "Last-Event-ID", lastID).Body
}

func tell(t *testing.T, sender hub.Sender, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		if err := sender.Send(t.Context(), "Tell", n); err != nil {
			t.Fatal(err)
		}
	}
}

func told(number int) string {
	return fmt.Sprintf("id: E-%d\r\nevent: Tell\r\ndata: [%[1]d]\r\n\r\n", number)
}

// Who comes back gets what was for it, and is told if that is not all.
func TestHistory(t *testing.T) {
	const begin, gap, blank = ":\r\nretry: 2000\r\n", "event: carillon-gap\r\ndata: []\r\n", "\r\n"
	server, _, h, _ := remembering(t)
	tell(t, h.Clients().All(), 1)
	text, epoch := until(t, listen(t, server, "").Body, "-1")
	if text != begin+blank+"id: E-1\r\n\r\n" {
		t.Errorf("the first time: %q", text)
	}
	tell(t, h.Clients().Group("a"), 2)
	tell(t, h.Clients().Group("b"), 3)
	tell(t, h.Clients().All(), 4)
	rest := blank + told(2) + told(4) + "id: E-4\r\n\r\n"
	for id, want := range map[string]string{
		epoch + "-1":  begin + rest,
		epoch + "-4":  begin + blank + "id: E-4\r\n\r\n",
		epoch + "-0":  begin + gap + rest,
		epoch + "-5":  begin + gap + rest,
		epoch + "--1": begin + gap + rest,
		"OTHER123-2":  begin + gap + rest,
		"garbage":     begin + gap + rest,
	} {
		if got, _ := until(t, again(t, server, id), "\r\n\r\nid: "+epoch+"-4"); got != want {
			t.Errorf("after %s: got %q, want %q", id, got, want)
		}
	}
	for query, want := range map[string]string{
		"&lastEventId=" + epoch + "-1":              begin + rest,
		"&LASTEVENTID=" + epoch + "%2d1":            begin + rest,
		"&lastEventId=":                             begin + blank + "id: E-4\r\n\r\n",
		"&lastEventId=" + strings.Repeat("1", 1000): begin + gap + rest,
	} {
		if got, _ := until(t, listen(t, server, "?group=a"+query).Body, "-4"); got != want {
			t.Errorf("with %s: got %q, want %q", query, got, want)
		}
	}
	both := listen(t, server, "?group=a&lastEventId="+epoch+"-1", "Last-Event-ID", epoch+"-4")
	if got, _ := until(t, both.Body, "-4"); got != begin+blank+"id: E-4\r\n\r\n" {
		t.Errorf("with an older id in the URL than in the header: %q", got)
	}
	stream := again(t, server, epoch+"-4")
	until(t, stream, "-4")
	tell(t, h.Clients().All(), 5)
	if got, _ := until(t, stream, "[5]"); got != told(5) {
		t.Errorf("what comes: %q", got)
	}
}

// A restart is a gap.
func TestHistoryIsOfOneProcess(t *testing.T) {
	server, _, h, _ := remembering(t)
	tell(t, h.Clients().All(), 1, 2)
	_, epoch := until(t, listen(t, server, "").Body, "-2")
	other, _, h, _ := remembering(t)
	tell(t, h.Clients().All(), 1, 2)
	if got, _ := until(t, again(t, other, epoch+"-2"), "-2"); !strings.Contains(got, "carillon-gap") {
		t.Errorf("%q", got)
	}
}

// Nothing is lost or doubled between what was missed and what comes, while others send.
func TestHistoryWhileOthersSend(t *testing.T) {
	h := hub.New(hub.Options{})
	e := endpoint.New(h, endpoint.Options{Events: endpoint.Events{Enabled: true, History: 10_000}})
	server := httptest.NewServer(e)
	defer server.Close()
	_, epoch := until(t, listen(t, server, "").Body, "-0")
	sent := make(chan error, 2)
	for range cap(sent) {
		go func() {
			for range 500 {
				if err := h.Clients().All().Send(context.Background(), "Tell"); err != nil {
					sent <- err
					return
				}
			}
			sent <- nil
		}()
	}
	stream := again(t, server, epoch+"-0")
	for range cap(sent) {
		if err := <-sent; err != nil {
			t.Error(err)
		}
	}
	text, _ := until(t, stream, "id: "+epoch+"-1000\r\nevent: Tell\r\ndata: []")
	last := 0
	for event := range strings.SplitSeq(text, "\r\n\r\n") {
		if number, data, ok := strings.Cut(strings.TrimPrefix(event, "id: E-"), "\r\n"); ok && strings.HasPrefix(data, "event: Tell") {
			if last++; number != fmt.Sprint(last) {
				t.Fatalf("%s comes as number %d", number, last)
			}
		}
	}
	if last != 1000 {
		t.Error(last)
	}
	if err := e.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// A broadcast that is still on its way to others does not hold up the next one.
func TestHistoryWhileABroadcastIsSlow(t *testing.T) {
	server, _, h, came := remembering(t)
	stream := listen(t, server, "").Body
	<-came
	dial(t, server, came)
	slow := &slowToEncode{reached: make(chan struct{}), goOn: make(chan struct{})}
	sent := make(chan error, 1)
	go func() { sent <- h.Clients().All().Send(context.Background(), "Tell", slow) }()
	<-slow.reached
	tell(t, h.Clients().All(), 2)
	if got, _ := until(t, stream, "[2]"); !strings.HasSuffix(got, told(1)+told(2)) {
		t.Errorf("%q", got)
	}
	close(slow.goOn)
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// What takes the place of something that waits comes behind what has lower numbers: a
// listener that is cut in between says the highest it has seen.
func TestHistoryOfASlowListener(t *testing.T) {
	const more = 16 << 20 // than sockets hold
	server, _, h, came := remembering(t)
	stream := listen(t, server, "").Body
	<-came
	everybody := h.Clients().All()
	if err := everybody.Send(t.Context(), "Long", strings.Repeat("x", more)); err != nil {
		t.Fatal(err)
	}
	ticks := h.Clients().Conflate("tick").All()
	tell(t, ticks, 2)
	tell(t, everybody, 3)
	tell(t, ticks, 4)
	tell(t, everybody, 5)
	if _, err := io.CopyN(io.Discard, stream, more); err != nil {
		t.Fatal(err)
	}
	if got, _ := until(t, stream, "[5]"); !strings.HasSuffix(got, "]\r\n\r\n"+told(3)+told(4)+told(5)) {
		t.Errorf("%q", got)
	}
}

// slowToEncode is 1, which takes its time the second time: for those who do not only listen.
type slowToEncode struct {
	times         int
	reached, goOn chan struct{}
}

// MarshalJSON implements json.Marshaler.
func (s *slowToEncode) MarshalJSON() ([]byte, error) {
	if s.times++; s.times == 2 {
		close(s.reached)
		<-s.goOn
	}
	return []byte("1"), nil
}

// dial connects a client that shakes hands.
func dial(t *testing.T, server *httptest.Server, came <-chan struct{}) {
	t.Helper()
	conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http")+"/chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	if answer := say(t, conn, shake); answer != "{}" {
		t.Fatal(answer)
	}
	<-came
}

// Another client's reader of the format comes back with the id of the last event.
func TestHistoryByAnotherClient(t *testing.T) {
	server, _, h, came := remembering(t)
	client := sse.NewClient(server.URL + "/chat/events")
	read := func(wanted string, send ...int) {
		ctx, cancel := context.WithCancel(t.Context())
		got, ended := make(chan string, 8), make(chan error, 1)
		go func() {
			ended <- client.SubscribeRawWithContext(ctx, func(e *sse.Event) {
				if len(e.Data) > 0 {
					got <- string(e.Data)
				}
			})
		}()
		<-came
		tell(t, h.Clients().All(), send...)
		if data := <-got; data != wanted {
			t.Errorf("got %s, want %s", data, wanted)
		}
		cancel()
		<-ended
	}
	read("[1]", 1)
	tell(t, h.Clients().All(), 2)
	read("[2]")
}
