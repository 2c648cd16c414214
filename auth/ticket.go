package auth

import "sync"

// Ticket stands for a user's credentials until one connection is open that was negotiated with
// it. A connection is named by its id. Safe for concurrent use.
type Ticket struct {
	digest string

	mu     sync.Mutex
	holder string // the connection that is, or was, open with it; "": none
	used   bool   // its client has said something
}

// NewTicket returns a ticket that a digest names, which does not open anything.
func NewTicket(digest string) *Ticket { return &Ticket{digest: digest} }

// Digest names the ticket.
func (t *Ticket) Digest() string { return t.digest }

// Free reports whether a connection may be opened with the ticket.
func (t *Ticket) Free() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.holder == ""
}

// Take has a connection hold the ticket. It reports false if another one does.
func (t *Ticket) Take(connection string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder != "" {
		return t.holder == connection
	}
	t.holder = connection
	return true
}

// Use keeps a ticket from being free again: the client of the connection that holds it has
// been heard.
func (t *Ticket) Use(connection string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used = t.used || t.holder == connection
}

// Release frees the ticket of a connection that has ended, unless its client was heard: what
// failed on the way may be tried by another transport.
func (t *Ticket) Release(connection string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder == connection && !t.used {
		t.holder = ""
	}
}
