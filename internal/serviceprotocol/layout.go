package serviceprotocol

import (
	"math"

	"github.com/tinylib/msgp/msgp"

	"github.com/carillon-go/carillon/internal/packread"
)

// field is an item of a message.
type field struct {
	read   func(r *packread.Reader, m *Message)
	append func(dst []byte, m *Message) []byte
}

// layout is the order of a message's items after its type. Those from optional on may be missing.
type layout struct {
	fields   []field
	optional int
}

func with(fields ...field) layout { return layout{fields, len(fields)} }

// or returns the layout with further items, which may be missing.
func (l layout) or(fields ...field) layout {
	l.fields = append(l.fields, fields...)
	return l
}

// The items. Most are texts: an empty one may be nil on the wire.
var (
	connection  = text(func(m *Message) *string { return &m.Connection })
	user        = text(func(m *Message) *string { return &m.User })
	group       = text(func(m *Message) *string { return &m.Group })
	caller      = text(func(m *Message) *string { return &m.Caller })
	query       = text(func(m *Message) *string { return &m.Query })
	reason      = text(func(m *Message) *string { return &m.Text })
	invocation  = text(func(m *Message) *string { return &m.Invocation })
	server      = text(func(m *Message) *string { return &m.Server })
	target      = text(func(m *Message) *string { return &m.Target })
	hubProtocol = text(func(m *Message) *string { return &m.Protocol })
	names       = texts(func(m *Message) *[]string { return &m.Names })
	except      = texts(func(m *Message) *[]string { return &m.Except })
	exceptUsers = texts(func(m *Message) *[]string { return &m.ExceptUsers })
	ack         = number(func(m *Message) *int32 { return &m.Ack })
	status      = number(func(m *Message) *int32 { return &m.Status })
	most        = number(func(m *Message) *int32 { return &m.Max })
	version     = number(func(m *Message) *int32 { return &m.Version })
	kind        = number(func(m *Message) *int32 { return (*int32)(&m.Kind) })
	migration   = number(func(m *Message) *int32 { return (*int32)(&m.Migration) })
	stateful    = field{
		func(r *packread.Reader, m *Message) { m.Stateful = r.Bool() },
		func(dst []byte, m *Message) []byte { return msgp.AppendBool(dst, m.Stateful) },
	}
	data = field{
		func(r *packread.Reader, m *Message) { m.Data = r.Bytes() },
		func(dst []byte, m *Message) []byte { return msgp.AppendBytes(dst, m.Data) },
	}
	payloads = pairs(func(m *Message) *[]Payload { return &m.Payloads },
		func(r *packread.Reader) Payload { return Payload{r.Text(), r.Bytes()} },
		func(dst []byte, p Payload) []byte {
			return msgp.AppendBytes(msgp.AppendString(dst, p.Protocol), p.Data)
		})
	claims = pairs(func(m *Message) *[]Claim { return &m.Claims },
		func(r *packread.Reader) Claim { return Claim{r.Text(), r.Text()} },
		func(dst []byte, c Claim) []byte { return msgp.AppendString(msgp.AppendString(dst, c.Type), c.Value) })
	headers = pairs(func(m *Message) *[]Header { return &m.Headers },
		func(r *packread.Reader) Header { return Header{r.Text(), r.Texts()} },
		func(dst []byte, h Header) []byte { return appendTexts(msgp.AppendString(dst, h.Name), h.Values) })
	extension = field{readExtension, appendExtension}
)

// layouts are the messages by type, except Ping, which is a list of texts.
var layouts = map[Type]layout{
	HandshakeRequest:        with(version).or(kind, target, migration, extension, stateful),
	HandshakeResponse:       with(reason).or(extension, connection),
	OpenConnection:          with(connection, claims).or(headers, query, extension),
	CloseConnection:         with(connection, reason).or(headers, extension),
	ConnectionData:          with(connection, data).or(extension),
	MultiConnectionData:     with(names, payloads).or(extension),
	UserData:                with(user, payloads).or(extension),
	MultiUserData:           with(names, payloads).or(extension),
	BroadcastData:           with(except, payloads).or(extension),
	JoinGroup:               with(connection, group).or(extension),
	LeaveGroup:              with(connection, group).or(extension),
	GroupData:               with(group, except, payloads).or(extension, exceptUsers, caller),
	MultiGroupData:          with(names, payloads).or(extension),
	ServiceError:            with(reason),
	UserJoinGroup:           with(user, group).or(extension),
	UserLeaveGroup:          with(user, group).or(extension),
	JoinGroupAck:            with(connection, group, ack).or(extension),
	LeaveGroupAck:           with(connection, group, ack).or(extension),
	Ack:                     with(ack, status, reason).or(extension, data),
	CheckUserInGroupAck:     with(user, group, ack).or(extension),
	CheckGroupAck:           with(group, ack).or(extension),
	CheckConnectionAck:      with(connection, ack).or(extension),
	CheckUserAck:            with(user, ack).or(extension),
	UserJoinGroupAck:        with(user, group, ack).or(extension),
	UserLeaveGroupAck:       with(user, group, ack).or(extension),
	CloseConnectionAck:      with(connection, reason, ack).or(extension),
	CloseConnectionsAck:     with(reason, ack, except).or(extension),
	CloseUserConnectionsAck: with(user, reason, ack, except).or(extension),
	CloseGroupAck:           with(group, reason, ack, except).or(extension),
	ClientInvocation:        with(invocation, connection, server, payloads).or(extension),
	ClientCompletion:        with(invocation, connection, server, hubProtocol, data).or(extension),
	ErrorCompletion:         with(invocation, connection, server, reason).or(extension),
	ListGroupAck:            with(extension, group, ack, most).or(reason),
}

func text(of func(*Message) *string) field {
	return field{
		func(r *packread.Reader, m *Message) { *of(m) = r.Text() },
		func(dst []byte, m *Message) []byte { return msgp.AppendString(dst, *of(m)) },
	}
}

func texts(of func(*Message) *[]string) field {
	return field{
		func(r *packread.Reader, m *Message) { *of(m) = r.Texts() },
		func(dst []byte, m *Message) []byte { return appendTexts(dst, *of(m)) },
	}
}

func appendTexts(dst []byte, all []string) []byte {
	dst = msgp.AppendArrayHeader(dst, uint32(len(all)))
	for _, s := range all {
		dst = msgp.AppendString(dst, s)
	}
	return dst
}

func number(of func(*Message) *int32) field {
	return field{
		func(r *packread.Reader, m *Message) { *of(m) = readNumber(r) },
		func(dst []byte, m *Message) []byte { return msgp.AppendInt(dst, int(*of(m))) },
	}
}

func readNumber(r *packread.Reader) int32 {
	return int32(r.Int(math.MinInt32, math.MaxInt32)) //nolint:gosec // within these bounds
}

// pairs is an item that is a map, in the order of the wire. A key may occur several times.
func pairs[Pair any](of func(*Message) *[]Pair, read func(*packread.Reader) Pair, write func([]byte, Pair) []byte) field {
	return field{
		func(r *packread.Reader, m *Message) {
			for range r.Map() {
				p := read(r)
				if r.Failed {
					return
				}
				*of(m) = append(*of(m), p)
			}
		},
		func(dst []byte, m *Message) []byte {
			dst = msgp.AppendMapHeader(dst, uint32(len(*of(m))))
			for _, p := range *of(m) {
				dst = write(dst, p)
			}
			return dst
		},
	}
}

// The keys of the extension that this package knows.
const (
	ttlKey      = 2
	protocolKey = 3
	contentKey  = 5
	partialKey  = 6
)

func readExtension(r *packread.Reader, m *Message) {
	for range r.Map() {
		switch r.Int(math.MinInt64, math.MaxInt64) {
		case ttlKey:
			m.TTL = readNumber(r)
		case protocolKey:
			m.Protocol = r.Text()
		case contentKey:
			m.Content = Content(readNumber(r))
		case partialKey:
			m.Partial = r.Bool()
		default:
			r.Skip()
		}
		if r.Failed {
			return
		}
	}
}

// appendExtension appends the keys that a service sends.
func appendExtension(dst []byte, m *Message) []byte {
	if m.Protocol == "" || m.Type == ClientCompletion {
		return msgp.AppendMapHeader(dst, 0)
	}
	dst = msgp.AppendInt(msgp.AppendMapHeader(dst, 1), protocolKey)
	return msgp.AppendString(dst, m.Protocol)
}
