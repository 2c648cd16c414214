package transports

// Limits are the limits of the resources of an endpoint that clients may use. Zero means the
// default, a negative number no limit. A client above a limit is refused or loses its
// connection; other clients are not affected.
type Limits struct {
	// Connections is the limit of all connections, including negotiated ones. Above it: 503.
	// Default 100,000.
	Connections int
	// ConnectionsPerUser is the limit of the connections of one user ID. Above it: 429.
	// Default 1,000.
	ConnectionsPerUser int
	// ConnectionsPerAddress is the limit of the connections of one client address (in IPv6 of
	// one /64). Above it: 429. Default 1,000, and no limit for private and loopback
	// addresses: these belong to proxies, unless the proxies state the addresses of their
	// clients.
	ConnectionsPerAddress int
	// NegotiationsPerAddress is the limit of one address's negotiations per second. A burst
	// may have ten times as many. Above it: 429. Default 100, and no limit for private
	// addresses.
	NegotiationsPerAddress int
	// QueueBytes is the limit of the bytes that wait for slow readers in all connections
	// together, and that hubs keep for their clients: unacknowledged messages, items of
	// uploads, pending client results. A connection with queued bytes may use at most the
	// free part: the fuller it is, the shorter is the queue at which a connection counts as a
	// slow reader. A message queued in many connections counts for each of them. Default 256
	// MiB.
	QueueBytes int
	// HeadBytes is the limit of the bytes that all connections together keep of the requests
	// that opened them, see Connection.Request. Above it: 503. Default 4 KiB for each of
	// Connections, or none if those have no limit.
	HeadBytes int
}

// Unlimited returns Limits without any limit.
func Unlimited() Limits {
	return Limits{Connections: -1, ConnectionsPerUser: -1, ConnectionsPerAddress: -1, NegotiationsPerAddress: -1, QueueBytes: -1, HeadBytes: -1}
}

// normalHeadBytes is the default part of HeadBytes for each connection.
const normalHeadBytes = 4 << 10

// Refusals counts the effects of the limits since the start: connections refused because of
// the number of all connections, of a user's, of an address's, or of an address's
// negotiations; frames for which all queues together had no room; connections cut because
// their client did not read within SendTimeout; requests refused because their head was too
// long, or because all connections had no room for it; refreshes refused because a connection
// had too many.
type Refusals struct {
	Connections, User, Address, Negotiations, Queue, SendTimeouts, Heads, Refreshes uint64
}
