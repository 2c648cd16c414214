// Package protocol encodes and decodes the data on a connection: the handshake, the
// framing and the hub messages of SignalR, in its encodings JSON and MessagePack.
//
// The package does not know connections and keeps no state: it turns bytes into a
// [Message] and the reverse. Both ends of a connection use it; the caller decides which
// messages are valid in which direction. Arguments, items and results stay raw until a
// caller that knows their types decodes them ([HubProtocol.Bind], [HubProtocol.Decode]).
//
// The texts of a [Fault], the spelling of JSON and the widths of MessagePack are those of
// ASP.NET Core SignalR 10, byte for byte.
package protocol
