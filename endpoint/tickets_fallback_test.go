package endpoint_test

import (
	"bufio"
	"context"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/signalr"
)

// opens tries to open a connection by a transport, and returns the status and, if there is a
// connection, what ends it.
func (s *site) opens(transport, token, ticket string) (status int, end func()) {
	s.t.Helper()
	id := "?id=" + token
	switch transport {
	case "WebSockets":
		conn, status := s.dial(id+"&access_token="+ticket, "")
		if conn == nil {
			return status, nil
		}
		return status, func() { _ = conn.Close() }
	case "ServerSentEvents":
		r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+id+"&access_token="+ticket, nil)
		if err != nil {
			s.t.Fatal(err)
		}
		r.Header.Set("Accept", "text/event-stream")
		response, err := s.http.Do(r)
		if err != nil {
			s.t.Fatal(err)
		}
		if response.StatusCode == http.StatusOK {
			_, _ = bufio.NewReader(response.Body).ReadByte()
		}
		return response.StatusCode, func() { _ = response.Body.Close() }
	default:
		status, _ = s.do(http.MethodGet, id, ticket, "")
		return status, func() { s.do(http.MethodDelete, id, ticket, "") }
	}
}

func isOpen(status int) bool {
	return status == http.StatusOK || status == http.StatusSwitchingProtocols
}

// A client whose transport fails before anything is open negotiates again with its ticket, as
// often as it has transports. One connection opens with it, whichever is the first.
func TestTicketFallsBack(t *testing.T) {
	t.Parallel()
	s := startTicketSite(t, endpoint.Options{})
	transports := []string{"WebSockets", "ServerSentEvents", "LongPolling"}
	for _, first := range transports {
		for _, second := range transports {
			for name, reversed := range map[string]bool{"the older one first": false, "the newer one first": true} {
				ticket := s.ticket("alice")
				order := []string{s.negotiate(ticket).ConnectionToken, s.negotiate(ticket).ConnectionToken}
				if reversed {
					slices.Reverse(order)
				}
				status, _ := s.opens(first, order[0], ticket)
				if !isOpen(status) {
					t.Errorf("%s by %s: %d", name, first, status)
				}
				if status, _ := s.opens(second, order[1], ticket); status != http.StatusUnauthorized {
					t.Errorf("%s by %s, then by %s: %d", name, first, second, status)
				}
				if status, _ := s.do(http.MethodPost, "/negotiate?negotiateVersion=1", ticket, ""); status != http.StatusUnauthorized {
					t.Errorf("%s by %s: a third negotiation: %d", name, first, status)
				}
			}
		}
	}
}

// Of any number that open at once with a ticket one gets in.
func TestTicketOpensOnce(t *testing.T) {
	t.Parallel()
	s := startTicketSite(t, endpoint.Options{})
	for range 10 {
		ticket := s.ticket("alice")
		statuses := make(chan int, 12)
		var ready, done sync.WaitGroup
		start := make(chan struct{})
		for i := range cap(statuses) {
			ready.Add(1)
			done.Go(func() {
				token := s.negotiate(ticket).ConnectionToken
				ready.Done()
				<-start
				status, _ := s.opens([]string{"WebSockets", "ServerSentEvents", "LongPolling"}[i%3], token, ticket)
				statuses <- status
			})
		}
		ready.Wait()
		close(start)
		done.Wait()
		close(statuses)
		counts := map[int]int{}
		for status := range statuses {
			if isOpen(status) {
				status = http.StatusOK
			}
			counts[status]++
		}
		if counts[http.StatusOK] != 1 || counts[http.StatusUnauthorized] != cap(statuses)-1 {
			t.Fatal(counts)
		}
	}
}

// A connection through which nothing was heard does not use up the ticket: the answer to its
// handshake may have been lost on the way. One that was heard does, also after its end.
func TestTicketOfAFailedConnection(t *testing.T) {
	t.Parallel()
	s := startTicketSite(t, endpoint.Options{})
	again := func(ticket string) bool {
		status, _ := s.do(http.MethodPost, "/negotiate?negotiateVersion=1", ticket, "")
		return status == http.StatusOK
	}
	for _, transport := range []string{"WebSockets", "ServerSentEvents", "LongPolling"} {
		ticket := s.ticket("alice")
		_, end := s.opens(transport, s.negotiate(ticket).ConnectionToken, ticket)
		if again(ticket) {
			t.Errorf("%s: negotiates while a connection is open", transport)
		}
		end()
		for deadline := time.Now().Add(20 * time.Second); !again(ticket); time.Sleep(10 * time.Millisecond) { //nolint:forbidigo // the end has no event
			if time.Now().After(deadline) {
				t.Fatalf("%s: no other transport after one that failed", transport)
			}
		}

		ticket = s.ticket("alice")
		token := s.negotiate(ticket).ConnectionToken
		if transport == "WebSockets" {
			conn, _ := s.dial("?id="+token+"&access_token="+ticket, "")
			say(t, conn, shake)
			_ = conn.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
			_, _, _ = conn.ReadMessage()
		} else {
			_, end := s.opens(transport, token, ticket)
			s.do(http.MethodPost, "?id="+token, ticket, shake+"\x1e")
			end()
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) { //nolint:forbidigo // the end has no event
			if status, _ := s.do(http.MethodPost, "?id="+token, ticket, ""); status != http.StatusOK && status != http.StatusNoContent {
				break // the connection is gone
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: the connection does not end", transport)
			}
		}
		if again(ticket) {
			t.Errorf("%s: a used ticket negotiates", transport)
		}
	}
}

// Another negotiation does not make a ticket live longer, and what it negotiated in time may be
// opened later.
func TestTicketFallsBackInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, ask := ticketsWithoutServer()
		_, redirect := ask(http.MethodPost, "/hub/negotiate?negotiateVersion=1", "alice")
		var last signalr.Negotiation
		for range 3 {
			var status int
			if status, last = ask(http.MethodPost, "/hub/negotiate?negotiateVersion=1", redirect.AccessToken); status != http.StatusOK {
				t.Error(status)
			}
			time.Sleep(9 * time.Second) // of the bubble
		}
		time.Sleep(4 * time.Second) // of the bubble
		if status, _ := ask(http.MethodPost, "/hub/negotiate?negotiateVersion=1", redirect.AccessToken); status != http.StatusUnauthorized {
			t.Errorf("a ticket negotiates after its time: %d", status)
		}
		if status, _ := ask(http.MethodGet, "/hub?id="+last.ConnectionToken, redirect.AccessToken); status != http.StatusOK {
			t.Errorf("what was negotiated in time: %d", status)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = e.Shutdown(ctx) // cuts what is open
	})
}
