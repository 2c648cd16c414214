package golden

// The reasons that several cases share.
const (
	stuck = "defect: after a message of an unknown type the original handles nothing more; a server ignores that message and goes on"
	acks  = "defect: the original acknowledges where nothing can be resumed"
	httpd = "the HTTP server's own: what it says of a connection of HTTP/1.0"
	types = "names types of .NET"
	lacks = "Go has no such type; the test hub has what it looks like in JSON instead"
	newer = "ASP.NET Core 11.0.0 answers otherwise, and a server does as that one"
	early = "11.0.0: a POST before the transport is refused"
	other = "11.0.0: the requests of another user are refused"
	twice = "defect: the original lets a new WebSocket wait beside a living old one, and fails it; a server lets it take over at once"
)

// leftOut names the cases that are not replayed, by file, each with its reason: defects of
// ASP.NET Core on which no client can rely, differences of 11.0.0, races, and behaviour of
// its HTTP server only. ours.json has the behaviour of a Carillon server instead.
var leftOut = map[string]map[string]string{
	"negotiate": {
		"keep-alive of the HTTP connection: response of HTTP/1.0": httpd,
	},
	"handshake": {
		"version a fraction":    newer,
		"version 1.0":           newer,
		"version beyond an int": newer,
	},
	"http": {
		"transports the path does not allow":                          early,
		"POST before any transport, and twice":                        early,
		"long polling: the first poll after the handshake was posted": early,
		"authorization: another user on an existing connection":       other,
		"long polling: three polls at once":                           "race: which of the new polls takes over and which gets 409",
	},
	"websocket": {
		"upgrade: by POST":                                       early,
		"upgrade: no Connection header":                          "defect: a handshake that a proxy stripped is taken for a poll and binds the connection; a server refuses it and keeps the id usable",
		"a call and a close in one write: is the call answered?": "race: the end of the connection and the answer",
	},
	"hub-json": {
		"unknown type 42: nothing behind it is handled any more": stuck,
		"unknown type 42 in the middle of a frame":               stuck,
		"unknown type 42, then more than 32768 bytes":            stuck,
		"type 0":           stuck,
		"type -1":          stuck,
		"stream id in use": newer,
		"streamIds in use by another running call": newer,
		"streamIds the same twice":                 newer,
		"type a fraction":                          newer,
		"type beyond an int":                       newer,
	},
	"hub-msgpack": {
		"any object": types,
		"unknown type 42: nothing behind it is handled any more?": stuck,
		"type 0":  stuck,
		"type -1": stuck,
	},
	"shutdown": {
		"long polling, no poll waits":     "race: the listener may be closed already",
		"requests right after the signal": "race: the listener may be closed already",
	},
	"stateful": {
		"another user on the second WebSocket":                                                             other,
		"which messages count":                                                                             "defect: an item of an unknown stream is not counted by the original, but by its clients; both count it",
		"half a message before the break is not forgotten":                                                 "defect: half a message before the break spoils the connection behind it; it is forgotten",
		"take-over: the old WebSocket still lives, its client answers the close frame":                     twice,
		"take-over: the old WebSocket still lives, its client drops the TCP connection on the close frame": twice,
		"take-over: the old WebSocket still lives and says nothing":                                        twice,
		"on long polling: negotiated, version 2 in the handshake":                                          acks,
		"on an event stream: negotiated, version 2 in the handshake":                                       acks,
	},
	"values": { // in MessagePack
		"char":       lacks,
		"offset":     lacks,
		"offset-utc": lacks,
		"dateonly":   lacks,
		"timeonly":   lacks,
		"enum":       lacks,
		"shape":      lacks, // has an enum
		"tuple":      lacks,
		"keyvalue":   lacks,
	},
}
