package hubfile

import "time"

// Hub holds the settings of one hub. The tags of a field define its key in the file, the values
// that it may have, its default and its description. The tag reload says
// that a reload applies the setting; with "set", only while it has a value before and after.
type Hub struct {
	// Name is the key below hubs.
	Name string

	Path       string   `key:"path" default:"/hubs/{name}" help:"Path at which clients connect."`
	Transports []string `key:"transports" enum:"WebSockets,ServerSentEvents,LongPolling" default:"all" help:"Transports to offer, in this order."`
	Protocols  []string `key:"protocols" enum:"json,messagepack" default:"both" help:"Hub protocols that clients may choose."`
	Origins    []string `key:"origins" reload:"true" default:"the server's own" help:"Origins of pages that may use the hub, as --cors-origin."`

	Clients       Clients       `key:"clients" help:"Who may connect at the path."`
	Invoke        []string      `key:"invoke" default:"none; all with upstream" help:"Methods that clients may invoke. A * at the end stands for any rest; \"*\" allows all. Any other method does not exist for clients."`
	Upstream      []Upstream    `key:"upstream" reload:"set" help:"Where events of clients and their invocations go: a list. The first whose categories and events match gets the request."`
	Servers       *Servers      `key:"servers" help:"ASP.NET Core applications with the Azure SignalR SDK connect at /server/ and answer the clients of the hub, which come with tokens to /client/."`
	SlowConsumers SlowConsumers `key:"slow-consumers" help:"What happens to messages for a client that reads too slowly."`
	Events        Events        `key:"events" help:"Plain event streams at {path}/events, for EventSource and curl -N."`
	Limits        Limits        `key:"limits" help:"Limits of this hub. 0: the default; negative: no limit."`
	Timeouts      Timeouts      `key:"timeouts" help:"Times of the hub protocol."`

	DetailedErrors bool   `key:"detailed-errors" default:"false" help:"Send clients the text of every error."`
	AccessKeyFile  string `key:"access-key-file" reload:"set" help:"File with one or two access keys, one a line, instead of the program's."`
	APIKeyFile     string `key:"api-key-file" reload:"set" help:"File with API keys for publishing, one a line, instead of the program's."`
	RedisHub       string `key:"redis-hub" default:"the name of the hub" help:"Name of the hub among those that share the Redis server, such as MyApp.Hubs.ChatHub."`
}

// Clients configures the admission of clients at the path of a hub.
type Clients struct {
	Anonymous bool          `key:"anonymous" default:"true without access keys" help:"Everybody may connect."`
	JWT       *JWT          `key:"jwt" help:"Clients need a bearer token (JWT)."`
	Connect   *Connect      `key:"connect" help:"The backend decides about each client."`
	Tickets   time.Duration `key:"tickets" min:"0" default:"no tickets" help:"As --tickets: a client that negotiates with a token gets a ticket for this time, and its token is in no URL."`
	PublicURL string        `key:"public-url" help:"URL of the hub for clients, if a proxy changes host or path. Needed for tickets."`
}

// JWT holds the settings of bearer tokens.
type JWT struct {
	KeyFile     string        `key:"key-file" reload:"set" help:"Key that verifies tokens, as --jwt-key. This or jwks-url is needed."`
	JWKSURL     string        `key:"jwks-url" help:"URL of the keys of an identity provider, as --jwks-url."`
	Issuer      string        `key:"issuer" default:"not checked" help:"Required iss."`
	Audience    string        `key:"audience" default:"not checked" help:"Required aud."`
	UserClaim   string        `key:"user-claim" default:"sub" help:"Claim that becomes the user's id."`
	Refresh     bool          `key:"refresh" default:"true" help:"Accept fresh tokens for open connections at {path}/refresh."`
	MaxLifetime time.Duration `key:"max-lifetime" min:"0" default:"until the token expires" help:"Longest time for which a token is valid."`
}

// Connect holds the settings of the call that asks the backend about a new client.
type Connect struct {
	URL     string        `key:"url" required:"true" reload:"true" help:"URL of the backend."`
	Headers []string      `key:"headers" reload:"true" default:"none" help:"Headers of the client's request to pass on."`
	Cookies []string      `key:"cookies" reload:"true" default:"none" help:"Cookies of the client's request to pass on."`
	Timeout time.Duration `key:"timeout" min:"1ms" reload:"true" default:"5s" help:"Time for the answer, with the wait for its turn."`
}

// Upstream is one address of the backend for events of clients.
type Upstream struct {
	URL        string        `key:"url" required:"true" reload:"true" help:"URL of the backend; segments {hub}, {category} and {event} of its path stand for those of the event."`
	Categories []string      `key:"categories" enum:"connections,messages" reload:"true" default:"both" help:"Categories to send: connections (connected, disconnected), messages (invocations)."`
	Events     []string      `key:"events" reload:"true" default:"all" help:"Events to send: connected, disconnected, or names of methods."`
	Format     string        `key:"format" enum:"json" reload:"true" default:"that of the client" help:"Send invocations in this hub protocol."`
	Timeout    time.Duration `key:"timeout" min:"1ms" reload:"true" default:"10s" help:"Time for the answer, with the wait for its turn."`
}

// Servers configures application servers.
type Servers struct {
	Takeover string        `key:"takeover" enum:"asked,off,ordered,always" default:"asked" help:"When clients move to another application server, without noticing: as the server asks for; never; when a server leaves in order; also when it is lost."`
	Hold     time.Duration `key:"hold" min:"1s" default:"30s" help:"Time for which clients that move wait for a server. Then they reconnect."`
}

// SlowConsumers has the policies for clients that read too slowly.
type SlowConsumers struct {
	Default string            `key:"default" enum:"disconnect,drop-newest,drop-oldest,conflate" default:"disconnect" help:"Policy of all methods that targets does not name. conflate: a newer message replaces an older one of the same method."`
	Targets map[string]string `key:"targets" enum:"disconnect,drop-newest,drop-oldest,conflate" default:"none" help:"Policy by method, such as price: conflate."`
}

// Events configures plain event streams.
type Events struct {
	Enabled      bool     `key:"enabled" default:"true" help:"Serve them."`
	Groups       []string `key:"groups" default:"none" help:"Groups that a stream may join by ?group=NAME, which may be repeated. A * at the end stands for any rest."`
	History      int      `key:"history" min:"0" default:"1000" help:"Events to keep for clients that reconnect."`
	HistoryBytes int      `key:"history-bytes" min:"1" default:"262144" help:"Limit of the kept events together."`
}

// Limits are the limits of a hub.
type Limits struct {
	Connections          int `key:"connections" default:"100000" help:"Connections of the hub."`
	PerUser              int `key:"per-user" default:"1000" help:"Connections of one user."`
	PerAddress           int `key:"per-address" default:"1000; private addresses: none" help:"Connections of one client address."`
	Negotiations         int `key:"negotiations" default:"100; private addresses: none" help:"Negotiations of one client address a second."`
	MessageBytes         int `key:"message-bytes" default:"32768" help:"Size of a message from a client."`
	InvocationsPerSecond int `key:"invocations-per-second" default:"1000" help:"Invocations of one client a second. Above it nothing more is read from the client until it may invoke again."`
	BytesPerSecond       int `key:"bytes-per-second" default:"10485760" help:"With servers in the place of invocations-per-second: bytes of one client a second, with bursts of thirty times as many."`
	ParallelInvocations  int `key:"parallel-invocations" default:"1" help:"Invocations of one client that run at a time."`
	Streams              int `key:"streams" default:"100" help:"Streams of one client at a time."`
	ClientQueueBytes     int `key:"client-queue-bytes" default:"16777216" help:"Bytes that wait for one slow client."`
	QueueBytes           int `key:"queue-bytes" default:"268435456" help:"Bytes that wait for all slow clients together."`
	UpstreamRequests     int `key:"upstream-requests" min:"1" reload:"true" default:"256" help:"Requests of the hub that the backend handles at a time. Others wait."`
	HeadBytes            int `key:"head-bytes" default:"4096 for each connection" help:"Bytes that all connections keep of their requests together."`
}

// Timeouts are the times of the hub protocol.
type Timeouts struct {
	Handshake time.Duration `key:"handshake" min:"1s" default:"15s" help:"Time for the handshake of a new connection."`
	KeepAlive time.Duration `key:"keep-alive" min:"1s" default:"15s" help:"Time between two pings to each client."`
	Client    time.Duration `key:"client" min:"1s" default:"30s" help:"Silence of a client after which its connection ends."`
}

// defaulted is implemented by settings with defaults that are not zero values.
type defaulted interface{ setDefaults() }

// New returns a hub with a name and the defaults.
func New(name string) Hub {
	h := Hub{Name: name}
	h.setDefaults()
	return h
}

func (h *Hub) setDefaults() {
	h.Path, h.RedisHub = "/hubs/"+h.Name, h.Name
	h.Events.Enabled, h.Events.History = true, 1000
	h.SlowConsumers.Default = "disconnect"
}

func (s *Servers) setDefaults() { s.Takeover = "asked" }

func (j *JWT) setDefaults() { j.UserClaim, j.Refresh = "sub", true }
