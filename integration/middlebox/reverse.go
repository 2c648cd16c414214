package middlebox

import (
	"path/filepath"
	"strings"
	"testing"
)

const nginxConfig = `daemon off; pid $DIR/n.pid; error_log $DIR/n.err; worker_processes 1;
events { worker_connections 128; }
http { access_log $DIR/n.acc; client_body_temp_path $DIR/b; proxy_temp_path $DIR/p;
  fastcgi_temp_path $DIR/f; uwsgi_temp_path $DIR/u; scgi_temp_path $DIR/s;
  map $http_upgrade $conn_up { default upgrade; '' close; }
  server { listen 127.0.0.1:$PORT@LISTEN@;
    location / { proxy_pass http://$UP; @BODY@ }
  } }
`

const (
	nginxUpgrade  = `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $conn_up; proxy_set_header Host $host;`
	nginxIgnoring = `proxy_http_version 1.1; proxy_set_header Connection ""; proxy_ignore_headers X-Accel-Buffering;`
	nginxGzip     = nginxIgnoring + ` gzip on; gzip_types *; gzip_min_length 0;`
)

// nginx returns nginx in its default configuration, with buffering and HTTP/1.0 to the server
// (N1), and in common configurations.
func nginx() []Kind {
	kind := func(name string, tls bool, body string) Kind {
		return Kind{Name: name, TLS: tls, Program: "nginx", start: func(t *testing.T, b *builder) {
			listen := ""
			if tls {
				writePair(t, b.dir, signer(t).serverCertificate(t))
				listen = " ssl http2; ssl_certificate $DIR/cert.pem; ssl_certificate_key $DIR/key.pem"
			}
			config := strings.NewReplacer("@LISTEN@", listen, "@BODY@", body).Replace(nginxConfig)
			b.run(t, "-e", filepath.Join(b.dir, "n.err"), "-c", b.write(t, "nginx.conf", config))
		}}
	}
	return []Kind{
		kind("N1", false, ""),
		kind("N2", false, nginxUpgrade),
		kind("N3", false, nginxIgnoring),
		kind("N4", true, ""),
		kind("N6", true, nginxUpgrade),
		kind("N7", true, nginxIgnoring),
		kind("N8", false, nginxGzip+` proxy_hide_header Content-Encoding;`),
		kind("N9", false, nginxGzip),
		kind("N10", false, "proxy_ignore_headers X-Accel-Buffering;"),
		kind("N11", true, "proxy_ignore_headers X-Accel-Buffering;"),
	}
}

// haproxy returns HAProxy with the time-outs of the first example of its documentation and
// none for tunnels.
func haproxy() []Kind {
	return []Kind{{Name: "HAProxy", Program: "haproxy", start: func(t *testing.T, b *builder) {
		b.run(t, "-db", "-f", b.write(t, "h.cfg", `defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend f
  bind 127.0.0.1:$PORT
  default_backend b
backend b
  server s $UP
`))
	}}}
}

const apacheConfig = `ServerRoot $DIR
ServerName localhost
Listen 127.0.0.1:$PORT
PidFile $DIR/a.pid
DefaultRuntimeDir $DIR
ErrorLog $DIR/a.err
Mutex pthread
User www-data
Group www-data
@MODULES@
@BODY@
`

// apache returns Apache: A1 with a plain ProxyPass, A2 and A3 with WebSockets in the new and
// the old way, A4 with compression of all responses.
func apache() []Kind {
	kind := func(name, modules, body string) Kind {
		return Kind{Name: name, Program: "apache2", start: func(t *testing.T, b *builder) {
			var load strings.Builder
			for _, m := range strings.Fields("mpm_event authz_core proxy proxy_http " + modules) {
				load.WriteString("LoadModule " + m + "_module /usr/lib/apache2/modules/mod_" + m + ".so\n")
			}
			config := strings.NewReplacer("@MODULES@", load.String(), "@BODY@", body).Replace(apacheConfig)
			b.run(t, "-X", "-f", b.write(t, "a.conf", config))
		}}
	}
	return []Kind{
		kind("A1", "", "ProxyPass / http://$UP/"),
		kind("A2", "", "ProxyPass / http://$UP/ upgrade=websocket"),
		kind("A3", "proxy_wstunnel rewrite", "RewriteEngine on\nRewriteCond %{HTTP:Upgrade} =websocket [NC]\nRewriteRule ^/(.*) ws://$UP/$1 [P,L]\nProxyPass / http://$UP/"),
		kind("A4", "deflate filter", "SetOutputFilter DEFLATE\nProxyPass / http://$UP/"),
	}
}

// varnish returns Varnish: V1 in its default configuration, V2 with the pipe that its
// documentation gives for WebSockets.
func varnish() []Kind {
	kind := func(name, more string) Kind {
		return Kind{Name: name, Program: "varnishd", start: func(t *testing.T, b *builder) {
			vcl := b.write(t, "v.vcl", "vcl 4.1;\nbackend default { .host = \"$UPHOST\"; .port = \"$UPPORT\"; }\n"+more)
			b.run(t, "-F", "-a", "127.0.0.1:"+portText(b.port), "-f", vcl, "-n", filepath.Join(b.dir, "vn"), "-s", "malloc,32m", "-T", "none")
		}}
	}
	return []Kind{
		kind("V1", ""),
		kind("V2", `sub vcl_recv { if (req.http.upgrade ~ "(?i)websocket") { return (pipe); } }
sub vcl_pipe { if (req.http.upgrade) { set bereq.http.upgrade = req.http.upgrade; set bereq.http.connection = req.http.connection; } }
`),
	}
}
