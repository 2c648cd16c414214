package cluster

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// breakable returns sites as owned does, and the link to the owner.
func breakable(t *testing.T, handle func(*breakingListener) http.HandlerFunc) (owner, other *site, token string, l *breakingListener) {
	t.Helper()
	secrets := [][]byte{randomSecret()}
	l = &breakingListener{Listener: listen(t, "127.0.0.1:0")}
	owner = newSite(t, "A", l, Options{Secrets: secrets})
	other = newSite(t, "B", listen(t, "127.0.0.1:0"), Options{Secrets: secrets})
	token = owner.promise(nil)
	owner.expect(t, "200 A GET", http.MethodGet, token, "")
	owner.handle = handle(l)
	return owner, other, token, l
}

// waiting returns the number of ends that wait for their owners.
func (n *Node) waitingEnds() (count int) {
	n.ends.mu.Lock()
	defer n.ends.mu.Unlock()
	for _, waiting := range n.ends.waiting {
		count += len(waiting)
	}
	return count
}

// A POST whose answer is lost ends its connection, so that its client learns that a message may
// be lost. Its client gets an error, whatever the length of the body.
func TestLostPostEndsItsConnection(t *testing.T) {
	t.Parallel()
	for _, length := range []int{1, maxShort + 1} {
		owner, other, token, _ := breakable(t, func(l *breakingListener) http.HandlerFunc {
			return func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				l.cut()
			}
		})
		other.expect(t, "404", http.MethodPost, token, strings.Repeat("x", length))
		key := mustOpen(t, other, token)
		await(t, "the end of the connection", func() bool { return slices.Equal(owner.ends(), []string{key}) })
		await(t, "the end of the wait", func() bool { return other.node.waitingEnds() == 0 })
	}
}

// late is the writer of a client to which each write takes until a channel is closed.
type late struct {
	http.ResponseWriter
	writes, until chan struct{}
}

func (l *late) Write(b []byte) (int, error) {
	close(l.writes)
	<-l.until
	return l.ResponseWriter.Write(b)
}

// An owner that cannot know whether a client has got the answer to its poll ends the connection: the
// next poll would get the same messages again, or would miss them.
func TestAnswerInDoubtEndsItsConnection(t *testing.T) {
	t.Parallel()
	flushed := make(chan error, 1)
	owner, other, token, l := breakable(t, func(*breakingListener) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "4")
			_, _ = io.WriteString(w, "data")
			flushed <- http.NewResponseController(w).Flush()
		}
	})
	slow := &late{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	var polling sync.WaitGroup
	polling.Go(func() { other.registry.front(slow, httptest.NewRequest(http.MethodGet, "/chat?id="+token, nil)) })
	<-slow.writes
	if all := owner.ends(); len(all) > 0 {
		t.Fatalf("%v ended before the link broke", all)
	}
	l.cut()
	if err := <-flushed; err == nil {
		t.Error("the owner believes that the client has got the answer")
	}
	if want := []string{mustOpen(t, other, token)}; !slices.Equal(owner.ends(), want) {
		t.Errorf("%v ended, want %v", owner.ends(), want)
	}
	close(slow.until)
	polling.Wait()
}

// A poll whose client has not got the answer, or has left before it, ends no connection.
func TestAnswerThatIsRefusedEndsNothing(t *testing.T) {
	t.Parallel()
	arrived, flushed := make(chan struct{}), make(chan error, 1)
	owner, other, token := owned(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Leaves") != "" {
			close(arrived)
			<-r.Context().Done()
		}
		w.Header().Set("Content-Length", "4")
		_, _ = io.WriteString(w, "data")
		flushed <- http.NewResponseController(w).Flush()
	})
	other.registry.front(&broken{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/chat?id="+token, nil))
	if err := <-flushed; err == nil {
		t.Error("the owner believes that the client has got the answer")
	}
	if all := owner.ends(); len(all) > 0 {
		t.Fatalf("%v ended", all)
	}
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/chat?id="+token, nil)
	r.Header.Set("X-Leaves", "1")
	var polling sync.WaitGroup
	polling.Go(func() { other.registry.front(httptest.NewRecorder(), r) })
	<-arrived
	leave()
	polling.Wait()
	if err := <-flushed; err == nil {
		t.Error("the owner believes that a client that has left has got the answer")
	}
	if all := owner.ends(); len(all) > 0 {
		t.Errorf("%v ended", all)
	}
}

// The owner ends the connection when it can be reached again.
func TestLostPostEndsItsConnectionLater(t *testing.T) {
	t.Parallel()
	owner, other, token, l := breakable(t, nothing)
	other.expect(t, "200", http.MethodPost, token, "x")
	l.stay(true)
	l.cut()
	other.expect(t, "404", http.MethodPost, token, "y")
	other.expect(t, "404", http.MethodPost, token, "z")
	if all, waiting := owner.ends(), other.node.waitingEnds(); len(all) > 0 || waiting != 1 {
		t.Errorf("%v ended, %d wait", all, waiting)
	}
	l.stay(false)
	key := mustOpen(t, other, token)
	await(t, "the end of the connection", func() bool { return slices.Equal(owner.ends(), []string{key}) })
}

// A POST whose owner is not found, because the home does not answer, ends its connection as well.
func TestPostWithoutAnOwnerEndsItsConnection(t *testing.T) {
	t.Parallel()
	owner, other, token, l := breakable(t, nothing)
	l.stay(true)
	l.cut()
	other.expect(t, "404", http.MethodPost, token, "x")
	if all, waiting := owner.ends(), other.node.waitingEnds(); len(all) > 0 || waiting != 1 {
		t.Errorf("%v ended, %d wait", all, waiting)
	}
	l.stay(false)
	key := mustOpen(t, other, token)
	await(t, "the end of the connection", func() bool { return slices.Equal(owner.ends(), []string{key}) })
}

// nothing answers with an empty 200.
func nothing(*breakingListener) http.HandlerFunc { return func(http.ResponseWriter, *http.Request) {} }

// Other failures do not end a connection: a poll loses nothing, and an owner that has ended has no
// connections.
func TestConnectionsThatAreNotEnded(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{}, 1)
	owner, other, token, l := breakable(t, func(l *breakingListener) http.HandlerFunc {
		return func(_ http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				l.cut()
				return
			}
			arrived <- struct{}{}
			_, _ = io.Copy(io.Discard, r.Body)
			close(arrived)
		}
	})
	other.expect(t, "404", http.MethodGet, token, "")
	if all := owner.ends(); len(all) > 0 {
		t.Fatalf("%v ended", all)
	}
	client, err := net.Dial("tcp", other.front.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(client, "POST /chat?id=%s HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\nand no more", token, 1<<20)
	<-arrived
	_ = client.Close()
	<-arrived
	l.cut()
	gone := process{newPID(), owner.node.self.address}
	other.node.endAt(gone, ending{testHub, testKey})
	await(t, "the answer of another process", func() bool { return other.node.waitingEnds() == 0 })
	other.stop()
	if all, s := owner.ends(), other.node.Stats(); len(all) > 0 || s.Unended > 0 {
		t.Errorf("%v ended, %+v", all, s)
	}
}

// The ends that wait for an owner are limited in number and time.
func TestEndsAreBounded(t *testing.T) {
	t.Parallel()
	s := newSites(t, 1)[0]
	l := listen(t, "127.0.0.1:0")
	lost := process{newPID(), l.Addr().String()}
	_ = l.Close()
	for i := range maxEnds + 10 {
		s.node.endAt(lost, ending{testHub, fmt.Sprint(i)})
	}
	if n, stats := s.node.waitingEnds(), s.node.Stats(); n != maxEnds || stats.Unended != 10 {
		t.Errorf("%d wait, %+v", n, stats)
	}
	s.node.ends.mu.Lock()
	for e := range s.node.ends.waiting[lost] {
		s.node.ends.waiting[lost][e] = time.Now().Add(-time.Second)
	}
	s.node.ends.mu.Unlock()
	await(t, "the end of the wait", func() bool { return s.node.waitingEnds() == 0 })
	if stats := s.node.Stats(); stats.Unended != maxEnds+10 {
		t.Errorf("%+v", stats)
	}
}

// A node that has been told of ends answers for those of hubs that it does not have.
func TestEndOfAnUnknownHub(t *testing.T) {
	t.Parallel()
	s := newSites(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var answer struct{}
	if err := s[0].node.call(ctx, s[1].node.self, endPath, end{[]ending{{"/none", testKey}}}, &answer); err != nil {
		t.Error(err)
	}
}
