package auth

import "sync"

// Ticket replaces a user's credentials until a connection that was negotiated with it is
// open. Connections are identified by their ids. Safe for concurrent use.
type Ticket struct {
	digest string

	mu     sync.Mutex
	holder string // the connection that holds the ticket; "": none
	used   bool   // the holder has received data from its client
}

// NewTicket returns a ticket with a digest that identifies it. The digest cannot be used in
// place of the ticket.
func NewTicket(digest string) *Ticket { return &Ticket{digest: digest} }

// Digest returns the digest that identifies the ticket.
func (t *Ticket) Digest() string { return t.digest }

// Free reports whether a connection may be opened with the ticket.
func (t *Ticket) Free() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.holder == ""
}

// Take makes a connection the holder of the ticket. It reports false if another connection
// holds it.
func (t *Ticket) Take(connection string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder != "" {
		return t.holder == connection
	}
	t.holder = connection
	return true
}

// Use binds a ticket to its holder for good, because the holder has received data from its
// client. It does nothing for other connections.
func (t *Ticket) Use(connection string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.used = t.used || t.holder == connection
}

// Release frees the ticket when its holder has closed, unless Use was called: the client may
// then try another transport.
func (t *Ticket) Release(connection string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.holder == connection && !t.used {
		t.holder = ""
	}
}
