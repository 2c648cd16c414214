// Package transports carries bytes between a client and an application over WebSockets,
// server-sent events or long polling. An application sees a Connection: one logical duplex
// connection, independent of the number of its HTTP requests. Each carrier has a package of
// its own. This package has their common parts: the Connection with its outbound queue, the
// Registry that finds it by its token, and the handlers of requests.
package transports
