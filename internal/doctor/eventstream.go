package doctor

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// eventStream receives by a text/event-stream.
type eventStream struct {
	*session
	head chan headOrError
	body io.ReadCloser
	got  bool // the head
}

type headOrError struct {
	response *http.Response
	err      error
}

// connect requests the stream. It waits only as long as for something that comes at
// once: a refusal arrives in that time, a stream whose head is buffered does not.
func (e *eventStream) connect() error {
	r, err := e.x.request(e.ctx, http.MethodGet, e.n.address(), e.n.token, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Cache-Control", "no-cache")
	r.Header.Set("Accept-Encoding", "gzip") // as browsers do: some boxes then compress the stream
	e.head = make(chan headOrError, 1)
	e.reading.Go(func() {
		response, err := e.x.client.Do(r) //nolint:bodyclose // by close
		e.head <- headOrError{response, err}
	})
	timer := time.NewTimer(heldPatience)
	defer timer.Stop()
	select {
	case h := <-e.head:
		return e.accept(h)
	case <-timer.C:
		return nil
	case <-e.ctx.Done():
		return context.Cause(e.ctx)
	}
}

func (e *eventStream) accept(h headOrError) error {
	if h.err != nil {
		return withoutURL(h.err)
	}
	t, response := e.transport, h.response
	e.body, e.got = response.Body, true
	t.Encoding = response.Header.Get("Content-Encoding")
	media := response.Header.Get("Content-Type")
	if response.StatusCode == http.StatusOK && strings.HasPrefix(media, "text/event-stream") {
		e.x.noteAnswer(response, nil)
		return nil
	}
	page, _ := io.ReadAll(io.LimitReader(e.body, longestAnswer)) // a part of the page will do
	e.x.noteAnswer(response, page)
	t.Status, t.refusal = response.StatusCode, refused
	switch {
	case response.StatusCode == http.StatusOK && strings.HasPrefix(media, "text/html"):
		t.refusal = answeredByPage
		return errors.New("the event stream was answered by a page")
	case response.StatusCode == http.StatusOK:
		t.refusal = polled
		return fmt.Errorf("the event stream was answered as something else (%q): Accept is lost on the way", media)
	}
	return fmt.Errorf("the event stream was answered with status %d", t.Status)
}

func (e *eventStream) send(text string) error { return e.x.post(e.session, text) }

func (e *eventStream) receive(arrived func([]byte)) error {
	if !e.got {
		select {
		case h := <-e.head:
			if err := e.accept(h); err != nil {
				return err
			}
		case <-e.ctx.Done():
			return context.Cause(e.ctx)
		}
	}
	var body io.Reader = e.body
	if e.transport.Encoding == "gzip" {
		plain, err := gzip.NewReader(body)
		if err != nil {
			return err
		}
		body = plain
	}
	lines := bufio.NewReader(body)
	for {
		line, err := lines.ReadBytes('\n')
		if data, found := bytes.CutPrefix(line, []byte("data:")); found {
			arrived(bytes.TrimSpace(data))
		}
		if err != nil {
			return err
		}
	}
}

func (e *eventStream) close() {
	if e.body != nil {
		_ = e.body.Close()
		return
	}
	select {
	case h := <-e.head: // too late: connect no longer waits for it
		if h.err == nil {
			_ = h.response.Body.Close()
		}
	default:
	}
}

// address is the hub's URL for the negotiated connection.
func (n *negotiated) address() *url.URL {
	at := *n.hub
	at.RawQuery = withQuery(at.RawQuery, "id="+url.QueryEscape(n.ConnectionToken))
	return &at
}

// post sends text to the hub.
func (x *examiner) post(s *session, text string) error {
	ctx, cancel := context.WithTimeout(s.ctx, answerPatience)
	defer cancel()
	r, err := x.request(ctx, http.MethodPost, s.n.address(), s.n.token, []byte(text))
	if err != nil {
		return err
	}
	response, err := x.client.Do(r)
	if err != nil {
		return withoutURL(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	if response.StatusCode/100 != 2 {
		x.noteAnswer(response, page)
		return fmt.Errorf("POST was answered with status %d", response.StatusCode)
	}
	return err
}
