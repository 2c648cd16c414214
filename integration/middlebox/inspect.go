package middlebox

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// certgen is the program that signs for the inspecting Squid. Only Squid built with OpenSSL
// includes it.
const certgen = "/usr/lib/squid/security_file_certgen"

// inspecting returns Squid as companies and schools run it: it terminates its clients' TLS
// with certificates of its own authority, inspects the requests, and connects to the server
// with TLS.
func inspecting() []Kind {
	return []Kind{{Name: "Squid-TLS", Forward: true, TLS: true, Program: "squid", start: func(t *testing.T, b *builder) {
		a := signer(t)
		port := endTLS(t, a.serverCertificate(t), b.upstream)
		b.server = "https://localhost:" + port // by name, because clients refuse Squid's certificates for addresses
		writePair(t, b.dir, tls.Certificate{Certificate: [][]byte{a.certificate.Raw}, PrivateKey: a.key})
		store := filepath.Join(b.dir, "issued")
		program := find(t, certgen)
		if out, err := exec.Command(program, "-c", "-s", store, "-M", "4MB").CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", certgen, err, out)
		}
		if out, err := exec.Command("chmod", "-R", "a+rwX", store).CombinedOutput(); err != nil { // Squid drops its privileges
			t.Fatalf("chmod: %v\n%s", err, out)
		}
		b.run(t, "-N", "-f", b.write(t, "s.conf", `http_port 127.0.0.1:$PORT ssl-bump tls-cert=$DIR/cert.pem tls-key=$DIR/key.pem generate-host-certificates=on dynamic_cert_mem_cache_size=4MB
sslcrtd_program `+program+` -s $DIR/issued -M 4MB
sslcrtd_children 1
acl step1 at_step SslBump1
ssl_bump peek step1
ssl_bump bump all
acl SSL_ports port `+port+`
tls_outgoing_options cafile=$DIR/cert.pem
`+squidConfig))
	}}}
}

// endTLS terminates the server's TLS and forwards raw TCP, so that the upstream receives the
// bytes unchanged.
func endTLS(t *testing.T, pair tls.Certificate, upstream string) (port string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	free := freePort(t)
	l := tls.NewListener(listen(t, free), &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12})
	var running sync.WaitGroup
	running.Go(func() { accept(ctx, l, upstream, &running) })
	t.Cleanup(func() { stop(); _ = l.Close(); running.Wait() })
	return portText(free)
}

func accept(ctx context.Context, l net.Listener, upstream string, running *sync.WaitGroup) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		running.Go(func() { join(ctx, c, upstream) })
	}
}

// join copies in both directions until one side or ctx ends.
func join(ctx context.Context, client net.Conn, upstream string) {
	defer client.Close()
	server, err := net.Dial("tcp", upstream)
	if err != nil {
		return
	}
	defer server.Close()
	cut := func() { _ = client.Close(); _ = server.Close() }
	defer context.AfterFunc(ctx, cut)()
	var both sync.WaitGroup
	both.Go(func() { defer cut(); _, _ = io.Copy(server, client) })
	both.Go(func() { defer cut(); _, _ = io.Copy(client, server) })
	both.Wait()
}
