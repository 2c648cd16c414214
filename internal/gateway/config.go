package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/internal/hubfile"
	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/transports"
)

// Config holds the settings of a deployment. The tags define for each its flag, its variable
// CARILLON_…, its key in the configuration file, and its default. The tag hub is the key of the
// setting below hubs.NAME: the setting itself is that of the clock.
type Config struct {
	Addr    string   `group:"Listening" default:":8080" help:"Address to listen on, or unix: and the path of a Unix socket, such as unix:/run/carillon.sock."`
	TLSCert string   `group:"Listening" name:"tls-cert" reload:"true" type:"path" placeholder:"FILE" help:"Certificate chain, PEM. With --tls-key: HTTPS, and HTTP/2 for clients that speak it."`
	TLSKey  string   `group:"Listening" name:"tls-key" reload:"true" type:"path" placeholder:"FILE" help:"Private key of the certificate, PEM."`
	Host    []string `group:"Listening" placeholder:"NAME" help:"Host name that requests may use, such as example.com; may be repeated. Requests for other hosts are answered 421, except for loopback names and for probes. Default: pages and metrics at a loopback address accept loopback names only; everything else accepts any name."`

	Path       string   `hub:"path" group:"Hub" default:"/hubs/clock" help:"Path of the clock hub."`
	Transports []string `hub:"transports" group:"Hub" default:"WebSockets,ServerSentEvents,LongPolling" help:"Transports to offer, in this order."`
	Rule       []string `group:"Hub" sep:";" reload:"true" placeholder:"NETWORK=TRANSPORTS" help:"Transports to offer the clients of a network instead, such as 10.0.0.0/8=LongPolling,ServerSentEvents; may be repeated, or contain several rules separated by semicolons. The first rule that matches applies. Rules take precedence over learned evidence."`
	NoLearning bool     `group:"Hub" name:"no-learning" help:"Offer every network the same transports, even those that have failed there."`
	CORSOrigin []string `hub:"origins" group:"Hub" name:"cors-origin" reload:"true" placeholder:"ORIGIN" help:"Origin of pages that may read the answers (CORS), such as https://example.com, or https://*.example.com for all its subdomains; may be repeated. * allows every origin, with credentials only if clients need a token. Other origins get 403 for WebSockets and for requests with credentials. Default: the server's own origin only."`

	TrustedProxies []string `group:"Proxies" name:"trusted-proxies" placeholder:"NETWORK" help:"Networks of trusted proxies, such as 10.0.0.0/8,fd00::/8; unix for the peers of a Unix socket. Their headers Forwarded or X-Forwarded-For, -Proto, -Host and -Prefix are used. Default: none."`
	ProxyProtocol  bool     `group:"Proxies" name:"proxy-protocol" help:"Require connections from --trusted-proxies to begin with a header of the PROXY protocol, version 1 or 2."`

	JWTKey       string `hub:"clients.jwt.key-file" group:"Tokens" name:"jwt-key" reload:"true" type:"path" placeholder:"FILE" help:"Key that verifies bearer tokens (JWT): a public key or certificate in PEM, or a secret of at least 32 bytes. With this or --jwks-url, clients of the hub need a token. Default: clients need no token."`
	JWKSURL      string `hub:"clients.jwt.jwks-url" group:"Tokens" name:"jwks-url" placeholder:"URL" help:"URL of an identity provider's keys (JWKS), instead of --jwt-key. New keys are found without a restart."`
	JWTIssuer    string `hub:"clients.jwt.issuer" group:"Tokens" name:"jwt-issuer" placeholder:"ISSUER" help:"Required iss of tokens. Default: not checked."`
	JWTAudience  string `hub:"clients.jwt.audience" group:"Tokens" name:"jwt-audience" placeholder:"AUDIENCE" help:"Required audience: the aud of a token must contain it. Default: not checked."`
	JWTUserClaim string `hub:"clients.jwt.user-claim" group:"Tokens" name:"jwt-user-claim" default:"sub" placeholder:"CLAIM" help:"Claim of the token that becomes the user's id."`

	JWTRefresh     bool          `hub:"clients.jwt.refresh" group:"Tokens" name:"jwt-refresh" default:"true" negatable:"" help:"Accept fresh tokens for open connections at {path}/refresh, as clients of .NET 11 send them. Needs --jwt-key or --jwks-url; --no-jwt-refresh disables it."`
	JWTMaxLifetime time.Duration `hub:"clients.jwt.max-lifetime" group:"Tokens" name:"jwt-max-lifetime" placeholder:"DURATION" help:"Longest time for which a token is valid, from the beginning of a connection or from a refresh, such as 1h; then the connection closes. Default: until the token expires."`

	Tickets   time.Duration `hub:"clients.tickets" group:"Tokens" placeholder:"DURATION" help:"Keep tokens out of URLs: a client that negotiates with a token gets a ticket instead, which is valid for this time and for one connection, such as 30s. Tokens in URLs are then refused. Default: no tickets."`
	PublicURL string        `hub:"clients.public-url" group:"Tokens" name:"public-url" placeholder:"URL" help:"URL of the hub for clients, if a proxy changes host or path. Needed for --tickets."`

	MaxConnections int `hub:"limits.connections" group:"Limits" name:"max-connections" default:"100000" placeholder:"N" help:"Limit of all connections; beyond it negotiation answers 503. 0: 100000; negative: no limit."`
	MaxPerAddress  int `hub:"limits.per-address" group:"Limits" name:"max-per-address" default:"0" placeholder:"N" help:"Limit of the connections of one client address; beyond it negotiation answers 429. 0: 1000, and no limit for private addresses, because these are usually proxies. Negative: no limit."`
	MaxPerUser     int `hub:"limits.per-user" group:"Limits" name:"max-per-user" default:"1000" placeholder:"N" help:"Limit of the connections of one user; beyond it negotiation answers 429. 0: 1000; negative: no limit."`

	Interval        time.Duration `hub:"-" group:"Clock and shutdown" default:"1s" help:"Time between two ticks of the clock; 0 or negative: no ticks."`
	Drain           time.Duration `group:"Clock and shutdown" default:"10s" help:"Time over which the shutdown spreads the closing of connections, so that clients do not all reconnect at once. It is shorter if fewer than 100 connections a second would close."`
	ShutdownTimeout time.Duration `group:"Clock and shutdown" name:"shutdown-timeout" default:"10s" help:"Time for running work and connections to finish after --drain, before they are cut."`

	ClusterAddr       string   `group:"Cluster" name:"cluster-addr" placeholder:"ADDR" help:"Address to listen on for other nodes, such as 10.0.0.1:8301. Several nodes then serve the hub together behind a load balancer without sticky sessions. Clients need not reach it. Default: one node."`
	ClusterSecretFile string   `group:"Cluster" name:"cluster-secret-file" type:"path" placeholder:"FILE" help:"File with the secret that all nodes share, as gateway secret prints it. While a new one replaces it, two: the current one and the previous one."`
	ClusterPeers      []string `group:"Cluster" name:"cluster-peers" placeholder:"ADDR" help:"Addresses of all nodes, such as 10.0.0.1:8301,10.0.0.2:8301. The own one may be among them."`
	ClusterDNS        string   `group:"Cluster" name:"cluster-dns" placeholder:"NAME:PORT" help:"Name whose addresses are those of all nodes, such as that of a headless service, instead of --cluster-peers."`
	ClusterAdvertise  string   `group:"Cluster" name:"cluster-advertise" placeholder:"ADDR" help:"Address at which other nodes reach this one. Default: --cluster-addr."`

	Redis       string `group:"Redis" placeholder:"URL" help:"Redis or Valkey server, such as redis://USER:PASSWORD@HOST:6379, rediss://… for TLS, or unix://USER:PASSWORD@/PATH for a socket. Messages then reach the clients of all gateways, and of all ASP.NET Core servers, that share it. Other users of this machine can read a command line: a URL with a password belongs into the variable or the file. Default: messages reach the clients of this process."`
	RedisHub    string `hub:"redis-hub" group:"Redis" name:"redis-hub" default:"ClockHub" placeholder:"NAME" help:"Name of the hub, the same for all that share it. Beside ASP.NET Core: the full name of the hub's type, such as MyApp.Hubs.ClockHub. Default: ClockHub."`
	RedisPrefix string `group:"Redis" name:"redis-prefix" placeholder:"TEXT" help:"Text in front of the names of all channels, as ChannelPrefix in ASP.NET Core. Default: none."`

	APIAddr       string   `group:"Publishing" name:"api-addr" placeholder:"ADDR" help:"Address to listen on for the REST interface for publishing, such as 127.0.0.1:8081. Default: --addr."`
	AccessKeyFile string   `group:"Publishing" name:"access-key-file" reload:"true" type:"path" placeholder:"FILE" help:"File with one or two access keys, one a line, for the hubs of the configuration file that name no keys of their own. An access key signs tokens of backends and of clients, as that of Azure SignalR Service does. An application server with one of these keys makes a hub that the file does not name by connecting; then the file needs no hubs. Default: none."`
	APIKeyFile    string   `group:"Publishing" name:"api-key-file" reload:"true" type:"path" placeholder:"FILE" help:"File with API keys, one a line, for the same hubs. A request for publishing has one in the header X-Api-Key. Default: none."`
	Audiences     []string `group:"Publishing" placeholder:"URL" reload:"true" help:"Public URLs of this server that tokens signed with an access key may be for, such as https://rt.example.com; may be repeated. Default: the host in the audience of a token is not compared."`

	MetricsAddr string `group:"Metrics and log" name:"metrics-addr" placeholder:"ADDR" help:"Address to serve /metrics on, in the text format of Prometheus. Use an address that clients cannot reach, such as 127.0.0.1:9090. Default: no metrics."`

	LogLevel  slog.Level `group:"Metrics and log" name:"log-level" reload:"true" default:"INFO" help:"Lowest level to log: DEBUG, INFO, WARN, ERROR."`
	LogFormat string     `group:"Metrics and log" name:"log-format" default:"text" enum:"text,json" help:"Format of the log, on standard error: text or json."`

	// Hubs are the hubs of the configuration file. Without them the clock is served.
	Hubs []hubfile.Hub `kong:"-"`
}

// Validate returns the errors in c, in terms of the flags, and of the keys below hubs.
func (c *Config) Validate() error {
	var errs []error
	if (c.TLSCert == "") != (c.TLSKey == "") {
		errs = append(errs, errors.New("--tls-cert and --tls-key go together"))
	}
	if c.Drain < 0 || c.ShutdownTimeout < 0 {
		errs = append(errs, errors.New("--drain and --shutdown-timeout: the times must not be negative"))
	}
	if c.servesClock() {
		errs = append(errs, c.validateClock())
	} else {
		errs = append(errs, c.validateHubs())
	}
	if _, err := c.rules(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.trustedProxies(); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, validateAddr("--addr", c.Addr), c.validateCluster(), c.validateRedis())
	for _, name := range c.Host {
		errs = append(errs, validateHost(name))
	}
	return errors.Join(errs...)
}

// transports returns the transports to offer.
func (c *Config) transports() ([]transports.Type, error) {
	return transportsOf("--transports", c.Transports)
}

// transportsOf returns the transports that a setting names, each once. Names ignore case.
func transportsOf(setting string, names []string) ([]transports.Type, error) {
	known := []transports.Type{transports.WebSockets, transports.ServerSentEvents, transports.LongPolling}
	offered := make([]transports.Type, 0, len(known))
names:
	for _, name := range names {
		for _, t := range known {
			if !fold.Equal(name, string(t)) {
				continue
			}
			if !slices.Contains(offered, t) {
				offered = append(offered, t)
			}
			continue names
		}
		return nil, fmt.Errorf("%s: %q is not one of WebSockets, ServerSentEvents, LongPolling", setting, name)
	}
	return offered, nil
}

// policy returns the policy that changes offers: rules take precedence over what is learned.
func (c *Config) policy(rules, learning negotiate.Policy) negotiate.Policy {
	if c.NoLearning {
		return rules
	}
	return negotiate.Policies{rules, learning}
}

func (c *Config) rules() (negotiate.Rules, error) {
	rules := make(negotiate.Rules, 0, len(c.Rule))
	for _, text := range c.Rule {
		network, names, _ := strings.Cut(text, "=")
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return nil, fmt.Errorf("--rule: %q does not begin with a network such as 10.0.0.0/8", text)
		}
		offered, err := transportsOf("--rule", strings.Split(names, ","))
		if err != nil {
			return nil, err
		}
		rules = append(rules, negotiate.Rule{Network: prefix.Masked(), Transports: offered})
	}
	return rules, nil
}

func (c *Config) usesTLS() bool { return c.TLSCert != "" }

// Logger returns a logger with the settings' format. Its level is that of the settings until
// level changes it.
func (c *Config) Logger(level *slog.LevelVar) *slog.Logger {
	level.Set(c.LogLevel)
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
