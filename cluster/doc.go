// Package cluster lets several processes serve the same hubs behind a load balancer that keeps
// no sessions. The requests of one connection may arrive at any process.
//
// A connection token contains, encrypted, the address of the process that negotiated: the
// home. The process at which the first request of a transport arrives claims the negotiation
// from the home and becomes the owner of the connection. Later requests that arrive elsewhere
// are forwarded to the owner over HTTP. For everything else a process has one network connection
// to each other one, on which it asks questions. Both use TLS with keys that the processes derive
// from a common secret.
package cluster
