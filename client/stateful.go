package client

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/carillon-go/carillon/protocol"
)

const (
	// resumeWindow is how long a broken carrier is replaced before the connection counts as lost: for
	// so long servers wait.
	resumeWindow = 15 * time.Second
	// resumePause is what lies between two attempts at first, and mostResumePause at last.
	resumePause     = 50 * time.Millisecond
	mostResumePause = 2 * time.Second
	// acknowledgeAfter is how long what came in may wait for its acknowledgement.
	acknowledgeAfter = time.Second
)

// kept is what an outbox keeps so that another carrier can take over: what the server has not
// acknowledged, and how far the server was heard. Messages of the types 1 to 5 are counted, from 1,
// each way; others are neither counted nor kept. The outbox's lock guards it; nil keeps nothing.
type kept struct {
	limit   int
	await   func() (done func()) // while somebody waits for an acknowledgement reading must go on
	records [][]byte
	bytes   int
	first   int64 // the number of the first that is kept, or of the next one
	probe   bool  // one record may exceed the limit

	next  int64 // the number of the next counted message that comes in
	seen  int64 // the highest number that was handled
	acked int64
	// acknowledge is what timer does, once there is news.
	acknowledge func()
	timer       *time.Timer
}

// makeStateful lets the session survive its carrier.
func (s *session) makeStateful(t target) {
	s.out.kept = &kept{
		limit: s.options.StatefulBufferSize, await: s.run.budget.await, first: 1, next: 1,
		acknowledge: func() { s.out.acknowledge(s.protocol) },
	}
	s.reopen = func(ctx context.Context) (carrier, error) {
		t.resumed++
		return s.run.connector().openCarrier(ctx, t, s.transport, s.options.TransportTimeout)
	}
}

// mayResume tells whether another carrier can take over after one ended with err.
func (s *session) mayResume(err error) bool {
	if err == nil || s.reopen == nil || s.ctx.Err() != nil || isRefusal(err) {
		return false
	}
	select {
	case <-s.written: // it was going to end
		return false
	case <-s.active:
		return true
	default:
		return false // there is nothing to resume before the handshake
	}
}

// isRefusal: the server is there, and does not know the connection. A conflict is with what is left
// of an older carrier; the next one gets the better of it.
func isRefusal(err error) bool {
	answer := new(HTTPError)
	return errors.As(err, &answer) && answer.StatusCode < http.StatusInternalServerError && answer.StatusCode != http.StatusConflict
}

// resume replaces a broken carrier.
func (s *session) resume(broken carrier) (carrier, error) {
	s.out.interrupt(broken)
	broken.Abort()
	s.rest = s.rest[:0] // half a record comes again
	ctx, cancel := context.WithTimeout(s.ctx, resumeWindow)
	defer cancel()
	for pause := resumePause; ; pause = min(2*pause, mostResumePause) {
		c, err := s.reopen(ctx)
		if err == nil {
			s.goOn(c)
			return c, nil
		}
		if isRefusal(err) || sleep(ctx, pause) != nil {
			return nil, err
		}
	}
}

// goOn makes c the carrier, unless the session has ended meanwhile.
func (s *session) goOn(c carrier) {
	s.heard()
	s.out.resume(c, s.protocol)
	if s.ctx.Err() != nil {
		c.Abort()
	}
}

// giveUpCarrier gives up a carrier on which nothing comes, if another one can take over, which the
// reader has to see to.
func (s *session) giveUpCarrier() bool {
	if s.reopen == nil || s.run.budget.isPaused() {
		return false
	}
	s.out.current().Abort()
	return true
}

func isCounted(t protocol.MessageType) bool {
	return protocol.Invocation <= t && t <= protocol.CancelInvocation
}

func (k *kept) keep(record []byte) {
	if k == nil {
		return
	}
	k.records = append(k.records, record)
	k.bytes += len(record)
	k.probe = false
}

// isFull: as in the official clients, the limit may be exceeded by one record.
func (k *kept) isFull() bool { return k != nil && k.bytes >= k.limit && !k.probe }

// stop stops the timer: nobody is told any more.
func (k *kept) stop() {
	if k != nil && k.timer != nil {
		k.timer.Stop()
		k.timer = nil
	}
}

// news has the server told that it was heard, within acknowledgeAfter. The lock is held.
func (b *outbox) news() {
	k := b.kept
	if k.timer == nil && k.seen > k.acked && b.closed == nil {
		k.timer = time.AfterFunc(acknowledgeAfter, k.acknowledge)
	}
}

// current is what carries at this moment.
func (b *outbox) current() carrier {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.carrier
}

// isStale tells whether c broke.
func (b *outbox) isStale(c carrier) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.away || b.carrier != c
}

// interrupt keeps what comes until there is another carrier, if c is the one that carried.
func (b *outbox) interrupt(c carrier) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.carrier == c {
		b.away = true
	}
}

// resume sends over another carrier first the number of what comes, then what was not acknowledged,
// then what is new.
//
// The server's acknowledgement may have been lost with the last carrier, and a server may send
// another only after a message that is new to it. So one may exceed the limit: without it a full
// buffer would stay full for ever.
func (b *outbox) resume(c carrier, p protocol.HubProtocol) {
	b.mu.Lock()
	defer b.mu.Unlock()
	sequence := p.AppendSequence(nil, b.kept.first)
	b.carrier, b.away, b.kept.probe = c, false, true
	// The last one may have broken while it brought once more what was acknowledged meanwhile.
	b.kept.next = max(b.kept.next, b.kept.seen+1)
	b.records = append(append(make([][]byte, 0, len(b.kept.records)+2), sequence), b.kept.records...)
	b.bytes = len(sequence) + b.kept.bytes
	if b.last != nil {
		b.push(b.last)
	}
	b.news()
	b.release()
	b.signal()
}

// acknowledged lets go what the server has received.
func (b *outbox) acknowledged(number int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.kept
	if k == nil {
		return
	}
	if number < k.first {
		return
	}
	n := min(number-k.first, int64(len(k.records))-1) + 1
	if n == 0 { // it acknowledges what was not sent
		return
	}
	for _, record := range k.records[:n] {
		k.bytes -= len(record)
	}
	k.records = append(k.records[:0], k.records[n:]...)
	clear(k.records[len(k.records):cap(k.records)])
	k.first += n
	b.release()
}

var (
	errSequence   = errors.New("client: the server goes on behind messages that never came")
	errNoSequence = errors.New("client: the server's sequence number is less than 0")
)

// sequence notes the number of what the server sends next.
func (b *outbox) sequence(number int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.kept
	switch {
	case k == nil:
		return nil
	case number < 0:
		return errNoSequence
	case number > k.next:
		return errSequence
	}
	k.next = number
	if number <= k.acked { // which was lost with the last carrier, and the server may wait for it
		k.acked = number - 1
		b.news()
	}
	return nil
}

// isNew counts a message that came in; false: it was handled before the last carrier broke.
func (b *outbox) isNew() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.kept
	if k == nil {
		return true
	}
	n := k.next
	k.next++
	if n <= k.seen {
		return false
	}
	k.seen = n
	b.news()
	return true
}

// acknowledge is the timer's.
func (b *outbox) acknowledge(p protocol.HubProtocol) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k := b.kept
	k.timer = nil
	if b.closed == nil && !b.away { // the next carrier sets another timer
		k.acked = k.seen
		b.push(p.AppendAck(nil, k.seen))
	}
}
