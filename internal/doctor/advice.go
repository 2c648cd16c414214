package doctor

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// cure is what helps against something.
type cure struct {
	text  string
	lines []string
}

// cures are what to write, by box and by what was found. $HOST and $PORT are the
// hub's, $UP stands for the server behind the proxy.
var cures = map[string]map[string]cure{
	"nginx": {
		codeStripped: {"let WebSockets through, in the location of the hub", []string{
			"proxy_http_version 1.1;",
			"proxy_set_header Upgrade $http_upgrade;",
			`proxy_set_header Connection $connection_upgrade; # in http: map $http_upgrade $connection_upgrade { default upgrade; "" close; }`,
		}},
		codeBuffered: {"let event streams flow, in the location of the hub", []string{
			"proxy_http_version 1.1;",
			"proxy_buffering off; # or take out: proxy_ignore_headers X-Accel-Buffering;",
			"gzip off;",
		}},
		codeCompressed: {"do not compress event streams, in the location of the hub", []string{"gzip off;"}},
		codeDelayed:    {"send at once what has come, in the location of the hub", []string{"tcp_nodelay on;", "proxy_buffering off;"}},
		codeIdle:       {"let silence last, in the location of the hub", []string{"proxy_read_timeout 1h;", "proxy_send_timeout 1h;"}},
	},
	"haproxy": {
		codeBuffered:   {"take event streams out of the compression, in the backend", []string{"# compression type: without text/event-stream"}},
		codeCompressed: {"take event streams out of the compression, in the backend", []string{"# compression type: without text/event-stream"}},
		codeDelayed:    {"send at once what has come, in defaults or in the backend", []string{"option http-no-delay"}},
		codeIdle:       {"let silence last, in defaults or in frontend and backend", []string{"timeout client 2m", "timeout server 2m", "timeout tunnel 1h"}},
	},
	"apache": {
		codeStripped:   {"let WebSockets through (2.4.47 and later)", []string{"ProxyPass $PATH http://$UP$PATH upgrade=websocket"}},
		codeBuffered:   {"let event streams flow", []string{"ProxyPass $PATH http://$UP$PATH upgrade=websocket flushpackets=on", `SetEnvIf Request_URI "^$PATH" no-gzip`}},
		codeCompressed: {"do not compress event streams", []string{`SetEnvIf Request_URI "^$PATH" no-gzip`}},
		codeIdle:       {"let silence last", []string{"ProxyTimeout 3600"}},
	},
	"varnish": {
		codeStripped: {"let WebSockets through", []string{
			`sub vcl_recv { if (req.http.upgrade ~ "(?i)websocket") { return (pipe); } }`,
			"sub vcl_pipe { if (req.http.upgrade) { set bereq.http.upgrade = req.http.upgrade; set bereq.http.connection = req.http.connection; } }",
		}},
		codeBuffered:   {"let event streams flow", []string{"sub vcl_backend_response { set beresp.do_stream = true; set beresp.do_gzip = false; }"}},
		codeCompressed: {"do not compress event streams", []string{"sub vcl_backend_response { set beresp.do_gzip = false; }"}},
		codeIdle:       {"let silence last", []string{"sub vcl_backend_fetch { set bereq.first_byte_timeout = 1h; set bereq.between_bytes_timeout = 1h; }"}},
	},
	"squid": {
		codeConnect:   {"let clients open tunnels to the hub, above http_access deny CONNECT", []string{"acl carillon dst $HOST", "acl carillon_port port $PORT", "http_access allow CONNECT carillon carillon_port"}},
		codeStripped:  {"let WebSockets through where TLS is inspected (5 and later), or leave the hub alone", []string{"http_upgrade_request_protocols websocket allow all", "acl carillon ssl::server_name $HOST", "ssl_bump splice carillon"}},
		codeBuffered:  {"leave the hub alone where TLS is inspected", []string{"acl carillon ssl::server_name $HOST", "ssl_bump splice carillon"}},
		codeUntrusted: {"leave the hub alone, above the other lines of ssl_bump, or install the proxy's authority here", []string{"acl carillon ssl::server_name $HOST", "ssl_bump splice carillon"}},
		codeIdle:      {"let silence last", []string{"read_timeout 1 hour", "client_lifetime 1 day"}},
	},
	"tinyproxy": {
		codeConnect: {"let clients open tunnels to the hub's port", []string{"ConnectPort $PORT"}},
		codeIdle:    {"let silence last", []string{"Timeout 3600"}},
	},
}

// general helps where the box is not known, or known and without a cure of its own.
var general = map[string]cure{
	codeUnreachable: {"check the URL, the name, the firewall and that the hub is running", nil},
	codeUntrusted:   {"install the authority of the proxy that inspects TLS, or have the hub's name exempted from inspection; --insecure measures in spite of it", nil},
	codeStripped:    {"a proxy on the way does not pass WebSockets on: it has to hand the headers Upgrade and Connection to the server in HTTP/1.1; TLS (https) keeps most proxies from looking", nil},
	codeSwallowed:   {"something on the way takes WebSocket handshakes and never answers: serve by https, exempt the hub from inspection, or have the server not offer WebSockets to this network", nil},
	codeConnect:     {"the forward proxy opens no tunnel to the hub's port: have it allowed, or serve at port 443", nil},
	codePage:        {"somebody answers in the server's place: a login page or a filter; log in, or have the hub exempted", nil},
	codeAccept:      {"something on the way loses the header Accept: event streams cannot be told from polls; serve by https", nil},
	codeRefused:     {"somebody on the way, or the server, refuses this transport: look for a filter of upgrades or of text/event-stream", nil},
	codeBuffered:    {"something on the way collects answers before it passes them on: switch off its buffering and its scanning for text/event-stream, or serve by https", nil},
	codeDelayed:     {"something on the way waits before it passes on little: look for its option against delays (TCP_NODELAY)", nil},
	codeCompressed:  {"something on the way compresses event streams: exempt text/event-stream", nil},
	codeFails:       {"see the error; the server's log may know more", nil},
}

// advise finds for each finding the boxes that may be the cause and what to write there.
func (r *Report) advise() {
	for _, f := range r.Findings {
		found := false
		for _, kind := range r.suspects() {
			if c, known := cures[kind][f.Code]; known {
				r.addAdvice(kind, c)
				found = true
			}
		}
		if f.Code == codeIdle {
			r.adviseIdle()
		} else if c, known := general[f.Code]; known && !found {
			r.addAdvice("", c)
		}
	}
}

// suspects are the kinds of the boxes between here and the server. A forward proxy that
// the environment names is one even where it does not say what it is.
func (r *Report) suspects() (kinds []string) {
	for _, b := range r.Boxes {
		if !isServer(b.Kind) && !slices.Contains(kinds, b.Kind) {
			kinds = append(kinds, b.Kind)
		}
	}
	return kinds
}

// adviseIdle tells what the server can do where the box cannot be changed.
func (r *Report) adviseIdle() {
	cut := r.shortest()
	pings := max(time.Second, (cut / 2).Truncate(time.Second))
	r.addAdvice("", cure{
		text: fmt.Sprintf("where the box cannot be changed, the server pings oftener and ends idle polls earlier than silence is cut, every %v", pings),
		lines: []string{
			fmt.Sprintf("hub.Options{KeepAliveInterval: %s}, transports.Options{PollTimeout: %s} // Carillon", goDuration(pings), goDuration(pings)),
			fmt.Sprintf("KeepAliveInterval = TimeSpan.FromSeconds(%[1]d), LongPolling.PollTimeout = TimeSpan.FromSeconds(%[1]d) // ASP.NET Core", int(pings.Seconds())),
		},
	})
}

func goDuration(d time.Duration) string { return fmt.Sprintf("%d * time.Second", int(d.Seconds())) }

// addAdvice adds advice once.
func (r *Report) addAdvice(box string, c cure) {
	for _, a := range r.Advice {
		if a.Box == box && a.Text == c.text {
			return
		}
	}
	a := Advice{Box: box, Text: c.text, Lines: []string{}}
	for _, line := range c.lines {
		a.Lines = append(a.Lines, r.fillIn(line))
	}
	r.Advice = append(r.Advice, a)
}

func (r *Report) fillIn(line string) string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return line
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.NewReplacer("$HOST", u.Hostname(), "$PORT", port, "$PATH", u.EscapedPath(), "$UP", "SERVER").Replace(line)
}
