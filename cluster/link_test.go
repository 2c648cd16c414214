package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/internal/connection"
)

// newTestCredentials returns the credentials of a node with these secrets.
func newTestCredentials(t *testing.T, secrets ...[]byte) *credentials {
	t.Helper()
	var all []keys
	for _, secret := range secrets {
		k, err := newKeys(secret)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
	}
	c, err := newCredentials(all)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// greet says hello with a TLS configuration.
func greet(t *testing.T, to *site, config *tls.Config) error {
	t.Helper()
	config.NextProtos = []string{streamProtocol}
	conn, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", to.node.self.address)
	if err != nil {
		return err
	}
	a := newAsker(conn, to.node.peers.dialer)
	var running sync.WaitGroup
	defer running.Wait()
	defer a.close()
	running.Go(a.read)
	running.Go(a.write)
	_, err = a.sayHello(t.Context())
	return err
}

// Only a node with one of the secrets can use the link, as a client and as a server.
func TestLinkNeedsTheSecret(t *testing.T) {
	t.Parallel()
	old, current, foreign := randomSecret(), randomSecret(), randomSecret()
	s := newSite(t, "A", listen(t, "127.0.0.1:0"), Options{Secrets: [][]byte{current, old}})
	for name, c := range map[string]struct {
		config *tls.Config
		ok     bool
	}{
		"current":           {newTestCredentials(t, current).config(), true},
		"old":               {newTestCredentials(t, old).config(), false}, // it does not accept us
		"old, then current": {newTestCredentials(t, old, current).config(), true},
		"foreign":           {newTestCredentials(t, foreign).config(), false},
		"no certificate":    {&tls.Config{InsecureSkipVerify: true}, false},
		"foreign that accepts us": {func() *tls.Config {
			c := newTestCredentials(t, foreign).config()
			c.VerifyConnection = nil
			return c
		}(), false},
		"that does not accept us": {func() *tls.Config {
			c := newTestCredentials(t, foreign).config()
			c.Certificates = newTestCredentials(t, current).config().Certificates
			return c
		}(), false},
		"TLS 1.2": {func() *tls.Config {
			c := newTestCredentials(t, current).config()
			c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
			return c
		}(), false},
	} {
		if err := greet(t, s, c.config); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.node.self.address+forwardPath, nil)
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		_ = response.Body.Close()
	}
	if err == nil && response.StatusCode == http.StatusOK {
		t.Error("the link answers without TLS")
	}
	http.DefaultClient.CloseIdleConnections()
}

// Questions and requests of the link are for one process, and in a version that it knows.
func TestRequestsOfTheLinkAreForOneProcess(t *testing.T) {
	t.Parallel()
	s := newSites(t, 2)
	self := s[1].node.self
	valid := &find{hub: testHub, asking: self}
	for _, c := range []struct {
		to       process
		path     string
		question any
		want     string
	}{
		{self, findPath, valid, ""},
		{process{newPID(), self.address}, findPath, valid, errGone.Error()},
		{process{address: self.address}, findPath, valid, ""},
		{self, "/2/find", valid, errPath.Error()},
		{self, "", valid, errPath.Error()},
		{self, strings.Repeat("/", maxPath), valid, errPath.Error()},
		{self, forwardPath, valid, errPath.Error()},
		{self, findPath, struct{}{}, errMessage.Error()},
		{self, findPath, "{", errMessage.Error()},
		{self, findPath, &find{asking: process{address: "a"}}, errMessage.Error()},
		{self, findPath, &find{}, errMessage.Error()},
		{self, drainPath, drain{}, errMessage.Error()},
	} {
		var got found
		err := s[0].node.call(t.Context(), c.to, c.path, c.question, &got)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %s", c.path, err, c.want)
		}
	}
	for path, want := range map[string]string{"/2/forward": "404", "/": "404", findPath: "404"} {
		request, _ := s[0].node.request(t.Context(), self, path, nil)
		if _, err := s[0].node.peers.to(self.address).do(request); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	request, _ := s[0].node.request(t.Context(), process{newPID(), self.address}, forwardPath, nil)
	if _, err := s[0].node.peers.to(self.address).do(request); !errors.Is(err, errGone) {
		t.Errorf("another process: %v", err)
	}
	for _, text := range []string{"", "\x00\x00\x00\x02{}", "\xff\xff\xff\xff{}", "\x00\x00\x00\x02{]"} {
		request, _ := s[0].node.request(t.Context(), self, forwardPath, strings.NewReader(text))
		if _, err := s[0].node.peers.to(self.address).do(request); err == nil || !strings.Contains(err.Error(), "400") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// A node that fails is not dialled again at once, however many requests need it.
func TestFailedNodeIsNotDialledAtOnce(t *testing.T) {
	t.Parallel()
	var dials atomic.Int32
	l := listen(t, "127.0.0.1:0")
	closed := make(chan struct{})
	defer func() {
		_ = l.Close()
		<-closed
	}()
	go func() {
		defer close(closed)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			_ = c.Close()
		}
	}()
	s := newSites(t, 1)[0]
	peer := s.node.peers.to(l.Addr().String())
	begun := time.Now()
	for range 2 {
		var asking sync.WaitGroup
		for range 1000 {
			asking.Go(func() {
				if _, err := peer.ask(t.Context(), pid{}, findPath, []byte("{}")); err == nil {
					t.Error("a node that closes the network connection has answered")
				}
				request, _ := s.node.request(t.Context(), process{newPID(), l.Addr().String()}, forwardPath, strings.NewReader("{}"))
				if _, err := peer.do(request); err == nil {
					t.Error("a node that closes the network connection has served a request")
				}
			})
		}
		asking.Wait()
	}
	if most := 2 * (1 + int32(time.Since(begun)/redialTime)); dials.Load() > most { // for questions and for requests
		t.Errorf("%d dials, want %d at most", dials.Load(), most)
	}
}

// A node whose host refuses dials, because its process has ended, is dialled again soon: its tokens
// are still in use, and each request with one waits for a dial.
func TestRefusedNodeIsDialledSoon(t *testing.T) {
	t.Parallel()
	s := newSites(t, 1)[0]
	l := listen(t, "127.0.0.1:0")
	lost := process{newPID(), l.Addr().String()}
	_ = l.Close()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range 100 {
		var answer found
		if err := s.node.call(ctx, lost, findPath, &find{hub: testHub, asking: s.node.self}, &answer); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatal(err)
		}
	}
}

// A node that was down a moment ago is asked again before a client gets 404.
func TestNodeThatCameBackIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := newSites(t, 2)
	home, other := s[0], s[1]
	token, early := home.promise(nil), home.promise(nil)
	peer := other.node.peers.to(home.node.self.address)
	fail := func() {
		peer.mu.Lock()
		peer.closeLocked()
		peer.mu.Unlock()
		peer.failed(t.Context(), context.DeadlineExceeded)
	}
	fail()
	other.expect(t, "200 B GET", http.MethodGet, token, "")
	home.expect(t, "200 A GET", http.MethodGet, early, "")
	fail()
	other.expect(t, "200 A POST x", http.MethodPost, early, "x")
	fail()
	other.expect(t, "200 A POST "+strings.Repeat("x", maxShort+2), http.MethodPost, early, strings.Repeat("x", maxShort+1))
}

// A node whose host is busy is not taken for one that has failed.
func TestSlowNodeHandsOver(t *testing.T) {
	t.Parallel()
	secrets := [][]byte{randomSecret()}
	home := newSite(t, "A", slowListener{listen(t, "127.0.0.1:0")}, Options{Secrets: secrets})
	other := newSite(t, "B", listen(t, "127.0.0.1:0"), Options{Secrets: secrets, dialTimeout: dialTimeout, askTimeout: askTimeout})
	other.expect(t, "200 B GET", http.MethodGet, home.promise(nil), "")
}

// A home is asked again if the network connection breaks before its answer.
func TestHomeIsAskedAgainOnANewConnection(t *testing.T) {
	t.Parallel()
	secrets := [][]byte{randomSecret()}
	l := &breakingListener{Listener: listen(t, "127.0.0.1:0")}
	home := newSite(t, "A", l, Options{Secrets: secrets})
	home.hub.Join(&breaking{registry: home.registry, l: l})
	other := newSite(t, "B", listen(t, "127.0.0.1:0"), Options{Secrets: secrets})
	other.expect(t, "200 B GET", http.MethodGet, home.promise(nil), "")
}

// breaking is a registry that cuts the link when it is asked first.
type breaking struct {
	*registry
	l    *breakingListener
	once sync.Once
}

func (b *breaking) HandOver(key string, u *auth.User) (given connection.Handover, ok bool) {
	first := false
	b.once.Do(func() {
		first = true
		b.l.cut()
	})
	if first {
		return connection.Handover{}, false
	}
	return b.registry.HandOver(key, u)
}

// breakingListener is the end of a link that can be cut.
type breakingListener struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
	down  bool
}

func (l *breakingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.conns = append(l.conns, c)
	}
	if err == nil && l.down {
		_ = c.Close()
	}
	return c, err
}

// stay makes the link stay as it is after cut, or work again.
func (l *breakingListener) stay(down bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = down
}

func (l *breakingListener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
}

// slowListener accepts connections whose first read takes long.
type slowListener struct{ net.Listener }

func (l slowListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &slowConn{Conn: c}, err
}

type slowConn struct {
	net.Conn
	slow sync.Once
}

func (c *slowConn) Read(b []byte) (int, error) {
	c.slow.Do(func() { time.Sleep(4 * time.Second) }) // the host has no time for this process
	return c.Conn.Read(b)
}

// A home that hangs delays a request by no more than the limit of questions.
func TestHomeThatHangs(t *testing.T) {
	t.Parallel()
	s := newSites(t, 2)
	l := listen(t, "127.0.0.1:0")
	defer l.Close()
	accepted := make(chan net.Conn, 10)
	go func() {
		defer close(accepted)
		for {
			c, err := l.Accept() // and says nothing
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	s[1].node.askTimeout = 100 * time.Millisecond // there is no owner to ask
	hanging := newTestSealer(t, l.Addr().String(), s[0].secrets...)
	s[1].expect(t, "404", http.MethodGet, sealed(t, hanging, testHub, testKey), "")
	s[1].expect(t, "404", http.MethodPost, sealed(t, hanging, testHub, testKey), "")
	_ = l.Close()
	for c := range accepted {
		_ = c.Close()
	}
}

func TestMembersByName(t *testing.T) {
	t.Parallel()
	secrets := [][]byte{randomSecret()}
	l := listen(t, "127.0.0.1:0")
	_, port, _ := net.SplitHostPort(l.Addr().String())
	a := newSite(t, "A", l, Options{Secrets: secrets, DNS: net.JoinHostPort("localhost", port)})
	b := newSite(t, "B", listen(t, "127.0.0.1:0"), Options{Secrets: secrets, DNS: net.JoinHostPort("localhost", port)})
	await(t, "the other node", func() bool {
		b.node.members.check(t.Context())
		all := b.node.members.others(t.Context())
		return len(all) == 1 && all[0] == a.node.self
	})
	a.node.members.check(t.Context())
	if all := a.node.members.others(t.Context()); len(all) > 0 {
		t.Errorf("a node knows itself: %v", all)
	}
	a.stop()
	await(t, "the end of the other node", func() bool {
		b.node.members.check(t.Context())
		return !b.node.Members()[0].Up
	})
}

// A node that starts is asked by the others at once, although their last check has not found it.
func TestNodeThatStartsMakesItselfKnown(t *testing.T) {
	t.Parallel()
	secrets := [][]byte{randomSecret()}
	l := listen(t, "127.0.0.1:0")
	address := l.Addr().String()
	_ = l.Close()
	a := newSite(t, "A", listen(t, "127.0.0.1:0"), Options{Secrets: secrets, Peers: []string{address}})
	if all := a.node.members.others(t.Context()); len(all) > 0 {
		t.Fatalf("%v", all)
	}
	b := newSite(t, "B", listen(t, address), Options{Secrets: secrets, Peers: []string{a.node.self.address}})
	b.node.members.others(t.Context())
	if all := a.node.members.others(t.Context()); len(all) != 1 || all[0] != b.node.self {
		t.Errorf("%v", all)
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	t.Parallel()
	good := [][]byte{randomSecret()}
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"no secret":    {Options{Advertise: "a:1"}, "no secret"},
		"short secret": {Options{Advertise: "a:1", Secrets: [][]byte{[]byte("password")}}, "8 bytes"},
		"no address":   {Options{Secrets: good}, "address"},
		"any address":  {Options{Secrets: good, Advertise: "0.0.0.0:1"}, "none that other nodes can dial"},
		"no port":      {Options{Secrets: good, Advertise: "a"}, "port"},
		"a bad peer":   {Options{Secrets: good, Advertise: "a:1", Peers: []string{"b"}}, `"b"`},
		"a bad name":   {Options{Secrets: good, Advertise: "a:1", DNS: "nodes"}, `"nodes"`},
		"a long name":  {Options{Secrets: good, Advertise: strings.Repeat("n", 60) + ":1"}, "44 bytes"},
	} {
		if _, err := New(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
