package serversentevents

// CloseGrace is how long a client gets to close its stream.
const CloseGrace = closeGrace
