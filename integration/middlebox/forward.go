package middlebox

import (
	"strconv"
	"testing"
)

func portText(port int) string { return strconv.Itoa(port) }

// squidConfig allows CONNECT to port 443 only, like Squid's default configuration.
const squidConfig = `acl SSL_ports port 443
acl CONNECT method CONNECT
http_access deny CONNECT !SSL_ports
http_access allow localhost
http_access deny all
pid_filename $DIR/s.pid
access_log stdio:$DIR/s.acc
cache_log $DIR/s.log
coredump_dir $DIR
cache deny all
visible_hostname box
pinger_enable off
shutdown_lifetime 1 seconds
`

// forward returns the proxies that clients configure: Squid with its default rules, and
// tinyproxy with CONNECT to 443 only (T1) and to any port (T2).
func forward() []Kind {
	tiny := func(name, connect string) Kind {
		return Kind{Name: name, Forward: true, Program: "tinyproxy", start: func(t *testing.T, b *builder) {
			b.run(t, "-d", "-c", b.write(t, "t.conf", `Port $PORT
Listen 127.0.0.1
User nobody
Group nogroup
Timeout 600
MaxClients 100
Allow 127.0.0.1
LogFile "$DIR/t.log"
`+connect))
		}}
	}
	return []Kind{
		{Name: "Squid", Forward: true, Program: "squid", start: func(t *testing.T, b *builder) {
			b.run(t, "-N", "-f", b.write(t, "s.conf", "http_port 127.0.0.1:$PORT\n"+squidConfig))
		}},
		tiny("T1", "ConnectPort 443\nConnectPort 563\n"),
		tiny("T2", ""),
	}
}
