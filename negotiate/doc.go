// Package negotiate has the policies that decide, for each negotiation, which transports a
// client is offered. [Rules] are fixed; [Evidence] learns from connections which transports
// work in a client's network.
package negotiate
