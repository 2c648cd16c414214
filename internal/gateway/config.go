package gateway

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/carillon-go/carillon/internal/fold"
	"github.com/carillon-go/carillon/negotiate"
	"github.com/carillon-go/carillon/transports"
)

// Config are the settings of a deployment. The tags make each a flag of the
// program, a variable CARILLON_… and a key of its configuration file, and hold
// the defaults.
type Config struct {
	Addr    string   `default:":8080" help:"Address to listen on."`
	TLSCert string   `name:"tls-cert" type:"path" placeholder:"FILE" help:"Certificate chain, PEM. With --tls-key: HTTPS, and HTTP/2 for clients that speak it."`
	TLSKey  string   `name:"tls-key" type:"path" placeholder:"FILE" help:"Private key of the certificate, PEM."`
	Host    []string `placeholder:"NAME" help:"Host name that requests may ask for, such as example.com; may be repeated. Others are answered 421, but for loopback names and for probes. Default: pages and metrics at a loopback address answer loopback names only, the hub and all else any."`

	Path       string   `default:"/hubs/clock" help:"Path of the clock hub."`
	Transports []string `default:"WebSockets,ServerSentEvents,LongPolling" help:"Transports to offer, in this order."`
	Rule       []string `sep:";" placeholder:"NETWORK=TRANSPORTS" help:"What clients of a network are offered instead, such as 10.0.0.0/8=LongPolling,ServerSentEvents; may be repeated, or hold several with semicolons between; the first that fits counts. Stands above what was learned."`
	NoLearning bool     `help:"Offer every network the same transports, whatever was seen to fail there."`
	CORSOrigin []string `name:"cors-origin" placeholder:"ORIGIN" help:"Origins whose pages browsers let read the answers (CORS), such as https://example.com, or https://*.example.com for all its subdomains; may be repeated. * stands for any, without credentials. Default: the own origin only. Others get 403 for WebSockets and for what they send with credentials."`

	TrustedProxies []string `name:"trusted-proxies" placeholder:"NETWORK" help:"Networks of proxies whose Forwarded or X-Forwarded-For, -Proto, -Host and -Prefix headers are believed, such as 10.0.0.0/8,fd00::/8. Default: none."`
	ProxyProtocol  bool     `name:"proxy-protocol" help:"Connections from --trusted-proxies begin with a header of the PROXY protocol, version 1 or 2."`

	JWTKey       string `name:"jwt-key" type:"path" placeholder:"FILE" help:"Key that bearer tokens (JWT) are verified with: a public key or certificate in PEM, or a secret of at least 32 bytes. With it, or --jwks-url, clients of the hub need a token. Default: everybody may connect."`
	JWKSURL      string `name:"jwks-url" placeholder:"URL" help:"Where an identity provider publishes its keys (JWKS), instead of --jwt-key. New keys are found without a restart."`
	JWTIssuer    string `name:"jwt-issuer" placeholder:"ISSUER" help:"What a token's iss has to be. Default: not looked at."`
	JWTAudience  string `name:"jwt-audience" placeholder:"AUDIENCE" help:"What a token's aud has to contain. Default: not looked at."`
	JWTUserClaim string `name:"jwt-user-claim" default:"sub" placeholder:"CLAIM" help:"Claim of the token that names the user."`

	JWTRefresh     bool          `name:"jwt-refresh" default:"true" negatable:"" help:"Take fresh tokens for living connections at {path}/refresh, as clients of .NET 11 send them. On wherever tokens are verified; --no-jwt-refresh switches it off."`
	JWTMaxLifetime time.Duration `name:"jwt-max-lifetime" placeholder:"DURATION" help:"Longest time for which a token counts, from the beginning of a connection or a refresh on, such as 1h; then the connection ends. Default: to the token's own end."`

	Tickets   time.Duration `placeholder:"DURATION" help:"Keep tokens out of URLs: who negotiates with one gets a ticket in its place, for so long and for one connection, such as 30s; tokens in a URL are refused then. Default: no tickets."`
	PublicURL string        `name:"public-url" placeholder:"URL" help:"URL by which clients know the hub, if a proxy changes host or path: for --tickets."`

	MaxConnections int `name:"max-connections" default:"100000" placeholder:"N" help:"Connections in all; beyond them negotiation answers 503. Negative: no limit."`
	MaxPerAddress  int `name:"max-per-address" default:"0" placeholder:"N" help:"Connections of one client address; beyond them 429. 0: 1000, but none for private addresses, which are proxies' as a rule. Negative: no limit."`
	MaxPerUser     int `name:"max-per-user" default:"1000" placeholder:"N" help:"Connections of one user; beyond them 429. Negative: no limit."`

	Interval        time.Duration `default:"1s" help:"Time between two ticks of the clock; negative: no ticks."`
	Drain           time.Duration `default:"10s" help:"Over how long closing the connections is spread at the end, so that clients do not all come back in one instant; fewer than 100 a second take less."`
	ShutdownTimeout time.Duration `default:"10s" help:"How long what still runs then may take before it is cut."`

	MetricsAddr string `name:"metrics-addr" placeholder:"ADDR" help:"Address to serve /metrics on, in the text format of Prometheus; one that clients do not reach, such as 127.0.0.1:9090. Default: nowhere."`

	LogLevel  slog.Level `default:"INFO" help:"Least level to log: DEBUG, INFO, WARN, ERROR."`
	LogFormat string     `default:"text" enum:"text,json" help:"Format of the log, on standard error: text or json."`
}

// Validate tells what is wrong with c, in terms of the flags.
func (c *Config) Validate() error {
	var errs []error
	if (c.TLSCert == "") != (c.TLSKey == "") {
		errs = append(errs, errors.New("--tls-cert and --tls-key go together"))
	}
	if !strings.HasPrefix(c.Path, "/") || strings.HasSuffix(c.Path, "/") || strings.ContainsAny(c.Path, "?#") {
		errs = append(errs, fmt.Errorf("--path: %q must begin with a slash and not end in one", c.Path))
	}
	if last := path.Base(c.Path); slices.Contains([]string{"negotiate", "events", "refresh", "carillon.js"}, strings.ToLower(last)) {
		errs = append(errs, fmt.Errorf("--path: the hub's own paths end in %q", last))
	}
	if first, _, _ := strings.Cut(strings.TrimPrefix(c.Path, "/"), "/"); slices.Contains([]string{"healthz", "readyz", "assets"}, strings.ToLower(first)) {
		errs = append(errs, fmt.Errorf("--path: the program serves something else at /%s", first))
	}
	if len(c.Transports) == 0 {
		errs = append(errs, errors.New("--transports: at least one is needed"))
	}
	if _, err := c.transports(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.rules(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.trustedProxies(); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, c.validateAuth())
	for _, name := range c.Host {
		errs = append(errs, validateHost(name))
	}
	for _, origin := range c.CORSOrigin {
		if err := transports.CheckOrigin(origin); err != nil {
			errs = append(errs, fmt.Errorf("--cors-origin: %w", err))
		}
	}
	return errors.Join(errs...)
}

// transports are the transports to offer.
func (c *Config) transports() ([]transports.Type, error) {
	return transportsOf("--transports", c.Transports)
}

// transportsOf are those that a setting names, each once. Names have no case.
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
		return nil, fmt.Errorf("%s: %q is none of WebSockets, ServerSentEvents, LongPolling", setting, name)
	}
	return offered, nil
}

// policy decides what a client is offered: rules stand above what was learned.
func (c *Config) policy() (negotiate.Policy, error) {
	rules, err := c.rules()
	if err != nil || c.NoLearning {
		return rules, err
	}
	return negotiate.Policies{rules, negotiate.NewEvidence(negotiate.EvidenceOptions{})}, nil
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

// Logger returns the logger that c asks for.
func (c *Config) Logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(os.Stderr, options))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, options))
}
