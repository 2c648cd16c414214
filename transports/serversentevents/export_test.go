package serversentevents

// Farewell is how long a client gets to close its stream.
const Farewell = closeGrace
