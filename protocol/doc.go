// Package protocol is what travels inside a connection: the handshake, the framing and the hub messages of SignalR, in its two encodings JSON
// and MessagePack.
//
// It knows no connections and keeps no state: bytes in, a [Message] out, and the reverse. Both ends of a connection use it; which messages make
// sense in which direction is for the caller to decide. Arguments, items and results stay raw until somebody who knows their types
// asks for them ([HubProtocol.Bind], [HubProtocol.Decode]).
//
// The texts of a [Fault], the spelling of JSON and the widths of MessagePack are those of ASP.NET Core SignalR 10, byte for byte.
package protocol
