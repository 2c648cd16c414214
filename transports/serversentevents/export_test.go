package serversentevents

// How long the end of a stream waits for its client.
const (
	CloseGrace = closeGrace
	ReadGrace  = readGrace
)
