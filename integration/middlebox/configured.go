package middlebox

import (
	"path/filepath"
	"strings"
	"testing"
)

// Configured returns a balancer with a whole configuration, which has to listen at
// 127.0.0.1:$PORT. It makes nginx keep its files in the folder of the box.
func Configured(program, config string) Kind {
	return Kind{Name: program, Program: program, start: func(t *testing.T, b *builder) {
		if program == "nginx" {
			config = strings.Replace(config, "http {", `http { access_log off; client_body_temp_path $DIR/b; proxy_temp_path $DIR/p;
  fastcgi_temp_path $DIR/f; uwsgi_temp_path $DIR/u; scgi_temp_path $DIR/s;`, 1)
			b.run(t, "-e", filepath.Join(b.dir, "n.err"), "-g", "daemon off; pid "+filepath.Join(b.dir, "n.pid")+";", "-c", b.write(t, "nginx.conf", config))
			return
		}
		b.run(t, "-db", "-f", b.write(t, "h.cfg", config))
	}}
}
