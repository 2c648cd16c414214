package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/auth"
)

// wire sends a request as text and returns the answer as text, its head sorted and without
// Date.
func (s *site) wire(t *testing.T, request string) string {
	t.Helper()
	client, err := net.Dial("tcp", s.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(patience))
	if _, err = io.WriteString(client, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(client)
	if err != nil && len(answer) == 0 {
		return "cut"
	}
	head, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	lines := slices.DeleteFunc(strings.Split(head, "\r\n"), func(line string) bool { return strings.HasPrefix(line, "Date:") })
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n\n" + body
}

// owned returns a site that has an open connection, another site, and the connection's token.
func owned(t *testing.T, handle http.HandlerFunc) (owner, other *site, token string) {
	t.Helper()
	s := newSites(t, 2)
	token = s[0].promise(nil)
	s[0].expect(t, "200 A GET", http.MethodGet, token, "")
	s[0].handle = handle
	return s[0], s[1], token
}

// Each answer has the same bytes whether the request was forwarded or not.
func TestForwardedAnswersAreTheSameOnTheWire(t *testing.T) {
	t.Parallel()
	handlers := map[string]http.HandlerFunc{
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"empty with a length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Length"] = []string{"0"}
			w.WriteHeader(http.StatusAccepted)
		},
		"chunked": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Transfer-Encoding", "chunked")
			w.Header()["Content-Type"] = []string{"text/plain"}
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "No Connection with that ID")
		},
		"no type": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "text")
		},
		"sniffed":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"no content": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"long": func(w http.ResponseWriter, _ *http.Request) {
			for range 100 {
				_, _ = w.Write(bytes.Repeat([]byte{0, 255, '\n'}, 10_000))
			}
		},
		"flushed with a length": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4")
			_, _ = io.WriteString(w, "data")
			_ = http.NewResponseController(w).Flush()
		},
		"stream": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
				_ = http.NewResponseController(w).Flush()
			}
		},
		"aborted": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "data")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
		"header": func(w http.ResponseWriter, _ *http.Request) {
			h := w.Header()
			h["X-Lines"] = []string{"a", "", "b: c", "tab\there", "latin \xe9"}
			h["x-lower"] = []string{"1"}
			h["Date"] = nil
			h.Set("Connection", "close")
		},
		"status":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) },
		"late head": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200); w.Header().Set("X-Late", "1") },
	}
	owner, other, token := owned(t, nil)
	for name, handle := range handlers {
		owner.handle = handle
		request := "GET /chat?id=" + token + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
		want, got := owner.wire(t, request), other.wire(t, request)
		if name == "stream" || name == "long" { // the length of chunks depends on the network
			want, got = joinChunks(want), joinChunks(got)
		}
		if got != want {
			t.Errorf("%s: %.300q\nwant %.300q", name, got, want)
		}
	}
}

// joinChunks decodes the body of an answer.
func joinChunks(answer string) string {
	head, body, _ := strings.Cut(answer, "\n\n")
	decoded, err := io.ReadAll(httputil.NewChunkedReader(strings.NewReader(body)))
	return fmt.Sprint(head, "\n\n", string(decoded), err)
}

// The owner sees the request as the first node saw it.
func TestOwnerSeesTheClientsRequest(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	body := make(chan string, 1)
	owner, other, token := owned(t, func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body <- string(b)
		seen <- r
	})
	text := "POST /chat?x=%20;y&id=" + token + " HTTP/1.0\r\nHost: public.example\r\nConnection: close\r\nContent-Length: 4\r\n" +
		"Cookie: caf\xe9=1\r\nX-A: 1\r\nX-A: 2\r\nCarillon-For: forged\r\n\r\ntext"
	other.wire(t, text)
	got, gotBody := <-seen, <-body
	owner.wire(t, text)
	want, wantBody := <-seen, <-body
	if !reflect.DeepEqual(got.Header, want.Header) || got.Host != want.Host || got.RequestURI != want.RequestURI || got.URL.String() != want.URL.String() ||
		got.Method != want.Method || got.Proto != want.Proto || gotBody != wantBody || got.ContentLength != want.ContentLength || (got.TLS == nil) != (want.TLS == nil) {
		t.Errorf("%+v %q\nwant %+v %q", got, gotBody, want, wantBody)
	}
	if address, err := netip.ParseAddrPort(got.RemoteAddr); err != nil || !address.Addr().IsLoopback() || address.Port() == 0 {
		t.Error(got.RemoteAddr)
	}
}

func TestUserTravelsWithTheRequest(t *testing.T) {
	t.Parallel()
	now := time.Now().Round(0).UTC()
	for name, u := range map[string]*auth.User{
		"nobody":  nil,
		"name":    {ID: "ann"},
		"bytes":   {ID: "caf\xe9"},
		"claims":  {ID: "ann", Claims: map[string]any{"role": []any{"a", "b"}, "n": 1.5}, Expires: now, ClockSkew: time.Minute},
		"limited": (&auth.User{ID: "ann", Expires: now, ClockSkew: time.Hour}).EndingBy(now.Add(time.Minute)),
		"ends":    (&auth.User{ID: "ann"}).EndingBy(now.Add(time.Minute)),
		"expired": {ID: "ann", Expires: now, Expired: true},
		"ticket":  (&auth.User{ID: "ann"}).WithTicket(auth.NewTicket("\xff\x00digest")),
	} {
		b, err := json.Marshal(encodeUser(u))
		if err != nil {
			t.Fatal(err)
		}
		var encoded *user
		if err := json.Unmarshal(b, &encoded); err != nil {
			t.Fatal(err)
		}
		got := encoded.decode()
		if u == nil {
			if got != nil {
				t.Errorf("%s: %+v", name, got)
			}
			continue
		}
		if got.ID != u.ID || !reflect.DeepEqual(got.Claims, u.Claims) || !got.Expires.Equal(u.Expires) || got.Expired != u.Expired {
			t.Errorf("%s: %+v, want %+v", name, got, u)
		}
		for _, begun := range []time.Time{{}, now.Add(-time.Second), now, now.Add(time.Second), now.Add(2 * time.Hour)} {
			if !got.End(begun).Equal(u.End(begun)) {
				t.Errorf("%s: ends %v, want %v", name, got.End(begun), u.End(begun))
			}
		}
		if (u.Ticket() == nil) != (got.Ticket() == nil) || u.Ticket() != nil && got.Ticket().Digest() != u.Ticket().Digest() {
			t.Errorf("%s: %v", name, got.Ticket())
		}
	}
}

// A body of any length arrives once, also one whose length is not known.
func TestBodiesAreForwarded(t *testing.T) {
	t.Parallel()
	s := newSites(t, 2)
	token := s[0].promise(nil)
	s[0].expect(t, "200 A GET", http.MethodGet, token, "")
	want := ""
	for _, length := range []int{0, 1, maxShort - 1, maxShort, maxShort + 1, 1 << 20} {
		for _, known := range []bool{true, false} {
			text := strings.Repeat("x", length)
			var body io.Reader = strings.NewReader(text)
			if !known {
				body = io.MultiReader(body)
			}
			request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s[1].front.URL+"/chat?id="+token, body)
			response, err := s[1].front.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			want += text
			if response.StatusCode != http.StatusOK || string(got) != "A POST "+want {
				t.Fatalf("%d bytes: %s, %d bytes, want %d", length, response.Status, len(got), len(want))
			}
		}
	}
}

// Requests whose hub does not read its bodies do not delay others.
func TestBackPressureOfOneConnectionDelaysNoOther(t *testing.T) {
	t.Parallel()
	release, blocked := make(chan struct{}), make(chan struct{}, 1000)
	owner, other, slow := owned(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Slow") != "" {
			blocked <- struct{}{}
			<-release // the body stays unread
		}
		_, _ = io.Copy(io.Discard, r.Body)
	})
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer close(release)
	for i := range 100 {
		length := maxShort
		if i%10 == 0 {
			length = 1 << 20
		}
		waiting.Go(func() { other.send(t, http.MethodPost, slow, strings.Repeat("x", length), "X-Slow", "1") })
	}
	for range 100 {
		<-blocked
	}
	other.expect(t, "200", http.MethodPost, slow, strings.Repeat("y", maxShort))
	_ = owner
}

// Polls may wait in any number.
func TestManyForwardedPolls(t *testing.T) {
	t.Parallel()
	const polls = maxStreams + 200
	release, blocked := make(chan struct{}), make(chan struct{}, polls)
	_, other, token := owned(t, func(w http.ResponseWriter, r *http.Request) {
		blocked <- struct{}{}
		<-release
		w.WriteHeader(http.StatusNoContent)
	})
	var waiting sync.WaitGroup
	for range polls {
		waiting.Go(func() { other.expect(t, "204", http.MethodGet, token, "") })
	}
	for range polls {
		<-blocked
	}
	close(release)
	waiting.Wait()
}

// The owner sees that the client of a poll has left.
func TestEndOfThePollReachesTheOwner(t *testing.T) {
	t.Parallel()
	arrived, left := make(chan struct{}), make(chan struct{})
	_, other, token := owned(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
		close(left)
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, _ := http.NewRequestWithContext(ctx, http.MethodGet, other.front.URL+"/chat?id="+token, nil)
	failed := make(chan error, 1)
	go func() {
		_, err := other.front.Client().Do(request)
		failed <- err
	}()
	<-arrived
	cancel()
	<-left
	if err := <-failed; err == nil {
		t.Error("the poll was answered")
	}
}

// ownedWithData returns a node that forwards polls, the token of a connection that answers them
// with "data", and the result of each answer at its owner.
func ownedWithData(t *testing.T) (other *site, token string, flushed <-chan error) {
	t.Helper()
	results := make(chan error, 1)
	_, other, token = owned(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "4")
		_, _ = io.WriteString(w, "data")
		results <- http.NewResponseController(w).Flush()
	})
	return other, token, results
}

// A poll keeps the data that its client did not get.
func TestOwnerLearnsWhetherTheClientGotAnAnswer(t *testing.T) {
	t.Parallel()
	other, token, flushed := ownedWithData(t)
	other.expect(t, "200 data", http.MethodGet, token, "")
	if err := <-flushed; err != nil {
		t.Errorf("the client has got the answer: %v", err)
	}
	r := httptest.NewRequest(http.MethodGet, "/chat?id="+token, nil)
	other.registry.front(&broken{httptest.NewRecorder()}, r)
	if err := <-flushed; err == nil {
		t.Error("the client has got no answer, and the owner does not know")
	}
}

// A poll that announces a body of unknown length is like any other: net/http sends an empty body so if the
// client is busy.
func TestPollWithABodyIsForwardedAsAPoll(t *testing.T) {
	t.Parallel()
	other, token, flushed := ownedWithData(t)
	request := "GET /chat?id=" + token + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
	if got := other.wire(t, request); !strings.HasPrefix(got, "Connection: close\nContent-Length: 4\n") || !strings.HasSuffix(got, "\n\ndata") {
		t.Errorf("%q", got)
	}
	if err := <-flushed; err != nil {
		t.Errorf("the client has got the answer: %v", err)
	}
	r := httptest.NewRequest(http.MethodGet, "/chat?id="+token, struct{ io.Reader }{strings.NewReader("")})
	other.registry.front(&broken{httptest.NewRecorder()}, r)
	if err := <-flushed; err == nil {
		t.Error("the client has got no answer, and the owner does not know")
	}
}

// A poll does not keep data that its client did get, also when the client leaves at once.
func TestOwnerLearnsThatTheClientGotAnAnswerAndLeft(t *testing.T) {
	t.Parallel()
	other, token, flushed := ownedWithData(t)
	for range 300 {
		client, err := net.Dial("tcp", other.front.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = client.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(client, "GET /chat?id="+token+" HTTP/1.1\r\nHost: h\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(client), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(response.Body); err != nil || string(got) != "data" {
			t.Fatalf("%q, %v", got, err)
		}
		client.Close()
		if err := <-flushed; err != nil {
			t.Fatal("the client has got the answer, and the owner does not know: ", err)
		}
	}
}

// broken is the writer of a client that has left.
type broken struct{ http.ResponseWriter }

func (*broken) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// The owner may answer before it has read a long body.
func TestEarlyAnswerToALongBody(t *testing.T) {
	t.Parallel()
	_, other, token := owned(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	client, err := net.Dial("tcp", other.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(patience))
	_, _ = fmt.Fprintf(client, "POST /chat?id=%s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\nand no more", token, 1<<20)
	response, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil || response.StatusCode != http.StatusNotFound {
		t.Errorf("%v, %v", response, err)
	}
}

func TestWebSocketIsTunnelled(t *testing.T) {
	t.Parallel()
	_, other, token := owned(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Refuse") != "" {
			w.WriteHeader(http.StatusConflict)
			return
		}
		var upgrader websocket.Upgrader
		c, err := upgrader.Upgrade(w, r, http.Header{"X-Owner": {"A"}})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		for {
			kind, message, err := c.ReadMessage()
			if err != nil {
				return
			}
			_ = c.WriteMessage(kind, message)
		}
	})
	url := "ws" + strings.TrimPrefix(other.front.URL, "http") + "/chat?id=" + token
	c, response, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if response.Header.Get("X-Owner") != "A" {
		t.Errorf("%v", response.Header)
	}
	for _, length := range []int{1, 100_000, 1} {
		message := bytes.Repeat([]byte("x"), length)
		_ = c.WriteMessage(websocket.TextMessage, message)
		if _, got, err := c.ReadMessage(); err != nil || !bytes.Equal(got, message) {
			t.Fatalf("%d bytes, want %d, %v", len(got), length, err)
		}
	}
	_ = c.Close()
	_, response, err = websocket.DefaultDialer.DialContext(t.Context(), url, http.Header{"X-Refuse": {"1"}})
	if err == nil || response.StatusCode != http.StatusConflict {
		t.Errorf("%v, %v", response, err)
	}
}

// Bytes that a handshake announces as its body belong to the WebSocket, as without a cluster.
func TestHandshakeWithABodyIsTunnelled(t *testing.T) {
	t.Parallel()
	_, other, token := owned(t, func(w http.ResponseWriter, _ *http.Request) {
		c, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.CopyN(c, rw, 4)
	})
	client, err := net.Dial("tcp", other.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(patience))
	_, _ = fmt.Fprintf(client, "GET /chat?id=%s HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nContent-Length: 4\r\n\r\n", token)
	r := bufio.NewReader(client)
	response, err := http.ReadResponse(r, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", response, err)
	}
	_, _ = io.WriteString(client, "data")
	if got, err := io.ReadAll(r); err != nil || string(got) != "data" {
		t.Errorf("%q, %v", got, err)
	}
}

// The end of the forwarding node cuts the WebSockets that it passes on.
func TestShutdownCutsTunnels(t *testing.T) {
	t.Parallel()
	_, other, token := owned(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := new(websocket.Upgrader).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		_, _, _ = c.ReadMessage()
	})
	c, _, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(other.front.URL, "http")+"/chat?id="+token, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	other.stop()
	if _, _, err := c.ReadMessage(); err == nil {
		t.Error("the WebSocket is open")
	}
}

// The messages of the link are read completely or not at all.
func FuzzMessage(f *testing.F) {
	var b bytes.Buffer
	_ = writeMessage(&b, &forwarded{Hub: testHub, Header: header{"A": {"1", ""}, "B": nil}, URI: "/a\xff"})
	f.Add(b.Bytes())
	f.Add([]byte{0, 0, 0, 2, '{', '}'})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, b []byte) {
		var message, again forwarded
		if readMessage(bytes.NewReader(b), &message) != nil {
			return
		}
		var out bytes.Buffer
		if err := writeMessage(&out, &message); err != nil {
			t.Fatal(err)
		}
		if err := readMessage(bufio.NewReader(&out), &again); err != nil || !reflect.DeepEqual(message.URI, again.URI) {
			t.Errorf("%+v, %+v, %v", message, again, err)
		}
		if u := message.User.decode(); u != nil {
			_ = encodeUser(u)
		}
		_, _ = message.request(&http.Request{Body: http.NoBody})
	})
}
