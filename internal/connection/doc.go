// Package connection carries bytes between a client and an application. It has the common
// parts of all transports: the Connection with its outbound queue, the Registry that finds
// it by its token, and the handlers of requests. Each carrier has a package of its own.
package connection
