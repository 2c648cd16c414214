// Package serviceprotocol has the messages between an application server with the Azure SignalR SDK
// and the service that holds its clients.
//
// A message is a MessagePack array behind a length, as in the MessagePack hub protocol. Its first
// item is the type, and the others follow in a fixed order. Items at the end may be missing, and
// unknown ones are ignored. The source of these facts is the public description of the protocol
// (Azure/azure-signalr, specs/ServiceProtocol.md), and the SDK 1.34.0.
package serviceprotocol

// Type is the type of a message.
type Type int

// The types of messages. "Ack" in a name says that the service answers with an Ack.
const (
	HandshakeRequest        Type = 1
	HandshakeResponse       Type = 2
	Ping                    Type = 3
	OpenConnection          Type = 4
	CloseConnection         Type = 5
	ConnectionData          Type = 6
	MultiConnectionData     Type = 7
	UserData                Type = 8
	MultiUserData           Type = 9
	BroadcastData           Type = 10
	JoinGroup               Type = 11
	LeaveGroup              Type = 12
	GroupData               Type = 13
	MultiGroupData          Type = 14
	ServiceError            Type = 15
	UserJoinGroup           Type = 16
	UserLeaveGroup          Type = 17
	JoinGroupAck            Type = 18
	LeaveGroupAck           Type = 19
	Ack                     Type = 20
	CheckUserInGroupAck     Type = 21
	CheckGroupAck           Type = 23
	CheckConnectionAck      Type = 24
	CheckUserAck            Type = 25
	UserJoinGroupAck        Type = 26
	UserLeaveGroupAck       Type = 27
	AccessKeyRequest        Type = 28
	AccessKeyResponse       Type = 29
	CloseConnectionAck      Type = 30
	CloseConnectionsAck     Type = 31
	CloseUserConnectionsAck Type = 32
	CloseGroupAck           Type = 33
	ClientInvocation        Type = 34
	ClientCompletion        Type = 35
	ErrorCompletion         Type = 36
	ListGroupAck            Type = 40
)

// Message is one message of any type. Each type uses some of the fields: see layouts.
type Message struct {
	Type Type

	Connection, User, Group string   // ids and the name that a message concerns
	Names                   []string // connections, users or groups
	Except                  []string // ids of connections that do not receive the message
	ExceptUsers             []string
	Caller                  string // the user that sends to a group

	Data     []byte    // of one connection: bytes of its hub protocol
	Payloads []Payload // one message in each hub protocol of the application
	Claims   []Claim
	Headers  []Header
	Query    string

	Ack        int32  // the id of the acknowledgement that is wanted, or is given
	Status     int32  // of an Ack
	Text       string // an error, the reason of an end, the text of an Ack, or the token of a page
	Max        int32  // members of a group to list
	Invocation string // the id of a client's result
	Server     string // the id of the server that wants the result
	Pairs      []string

	Version   int32
	Kind      ConnectionKind
	Target    string
	Migration Migration
	Stateful  bool

	// Of the map that most messages end in:
	TTL      int32  // of a user's membership in a group, in seconds; -1: there is none
	Protocol string // the name of a hub protocol
	Content  Content
	Partial  bool // more bytes of the same message of the hub protocol follow
}

// Payload is a message in one hub protocol, with its framing.
type Payload struct {
	Protocol string
	Data     []byte
}

// Claim is one claim of a user. A type may occur several times.
type Claim struct{ Type, Value string }

// Header is a header with all its values.
type Header struct {
	Name   string
	Values []string
}

// ConnectionKind is the kind of a server connection.
type ConnectionKind int32

// The kinds of server connections. A weak one carries no clients.
const (
	DefaultConnection ConnectionKind = iota
	OnDemandConnection
	WeakConnection
)

// Migration says at which ends of a server connection its clients may move to another server.
type Migration int32

// The levels of migration.
const (
	NeverMigrate Migration = iota
	MigrateInOrder
	MigrateAlways
)

// Content is the kind of a ConnectionData's bytes, as the server tells it.
type Content int32

// The kinds of content.
const (
	UnknownContent Content = iota
	HandshakeContent
	InvocationContent
	OtherContent
	CloseContent
)

// The status of an Ack.
const (
	Done     = 1
	NotFound = 2
	TimedOut = 3
)
