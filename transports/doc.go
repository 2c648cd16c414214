// Package transports is the contract between an application and the connections of an
// endpoint: the Connection that an Application accepts, the Receiver of its data, and the
// Options and Limits of all connections. The connections themselves and their carriers over
// WebSockets, server-sent events and long polling are internal to this module; package
// endpoint joins them.
package transports
