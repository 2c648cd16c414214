package middlebox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const haproxyBalancer = `defaults
  mode http
  timeout connect 5s
  timeout client 150s
  timeout server 150s
  timeout tunnel 1h
  option http-no-delay
  option abortonclose
  retries 3
  option redispatch 1
frontend f
  bind 127.0.0.1:$PORT@LISTEN@
  default_backend nodes
  http-request set-header X-Forwarded-Proto https if { ssl_fc }
backend nodes
  balance roundrobin
@SERVERS@
`

// Polls are as long as 90 seconds. A server that refuses a connection is not left out, because
// the tests start it again.
const nginxBalancer = `daemon off; pid $DIR/n.pid; error_log $DIR/n.err; worker_processes 1;
events { worker_connections 1024; }
http { access_log off; client_body_temp_path $DIR/b; proxy_temp_path $DIR/p;
  fastcgi_temp_path $DIR/f; uwsgi_temp_path $DIR/u; scgi_temp_path $DIR/s;
  map $http_upgrade $conn_up { default upgrade; '' ''; }
  upstream nodes {
@SERVERS@    keepalive 100;
  }
  server { listen 127.0.0.1:$PORT@LISTEN@;
    location / { proxy_pass http://nodes; proxy_read_timeout 150s; proxy_buffering off; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $conn_up; proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto $scheme; }
  } }
`

// Balancers are the programs of Balancer.
func Balancers() []string { return []string{"haproxy", "nginx"} }

// Balancer returns a program that passes each request to the next of several servers
// (HOST:PORT). It keeps no sessions, and offers HTTP/2 over TLS.
func Balancer(program string, tls bool, servers ...string) Kind {
	return Kind{Name: program, TLS: tls, Program: program, start: func(t *testing.T, b *builder) {
		if tls {
			writePair(t, b.dir, signer(t).serverCertificate(t))
		}
		var list strings.Builder
		if program == "nginx" {
			listen := ""
			if tls {
				listen = " ssl http2; ssl_certificate $DIR/cert.pem; ssl_certificate_key $DIR/key.pem"
			}
			for _, server := range servers {
				list.WriteString("    server " + server + " max_fails=0;\n")
			}
			config := strings.NewReplacer("@LISTEN@", listen, "@SERVERS@", list.String()).Replace(nginxBalancer)
			b.run(t, "-e", filepath.Join(b.dir, "n.err"), "-c", b.write(t, "nginx.conf", config))
			return
		}
		listen := ""
		if tls { // HAProxy looks for the key there
			listen = " ssl crt $DIR/cert.pem alpn h2,http/1.1"
			if err := os.Rename(filepath.Join(b.dir, "key.pem"), filepath.Join(b.dir, "cert.pem.key")); err != nil {
				t.Fatal(err)
			}
		}
		for _, server := range servers {
			list.WriteString("  server " + server + " " + server + "\n")
		}
		config := strings.NewReplacer("@LISTEN@", listen, "@SERVERS@", list.String()).Replace(haproxyBalancer)
		b.run(t, "-db", "-f", b.write(t, "h.cfg", config))
	}}
}
