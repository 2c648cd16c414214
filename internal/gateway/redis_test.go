//go:build unix

package gateway

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/clock"
	"github.com/carillon-go/carillon/internal/hubfile"
	"github.com/carillon-go/carillon/internal/testproc"
)

const password = "p/a:s#s@w%rd"

func newRedis(t *testing.T) *testproc.Redis {
	t.Helper()
	s := testproc.NewRedis(t)
	s.Password = password
	return s
}

// with returns the settings of programs that share a server and do not tick.
func with(s *testproc.Redis) func(*Config) {
	return func(c *Config) { c.Redis, c.RedisHub, c.RedisPrefix, c.Interval = s.URL(), "ClockHub", "test:", 0 }
}

// viewer is a client of the clock.
type viewer struct {
	t     *testing.T
	hub   *clock.ClockHubClient
	shown chan time.Time
}

func (v *viewer) ShowTime(_ context.Context, now time.Time) error { v.shown <- now.UTC(); return nil }

func (r *running) view() *viewer {
	r.t.Helper()
	c := client.New(r.url+"/hubs/clock", client.Options{Memory: client.NewMemory()})
	v := &viewer{r.t, clock.NewClockHubClient(c), make(chan time.Time, 1000)}
	clock.ReceiveClock(c, v)
	ctx, cancel := context.WithTimeout(r.t.Context(), 60*time.Second)
	defer cancel()
	if err := c.Start(ctx); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = c.Stop(context.Background()) })
	if err := c.Invoke(ctx, "NoSuchMethod"); err == nil || ctx.Err() != nil { // answered after the client has joined
		r.t.Fatal(err)
	}
	return v
}

// send sends a time to all clients, and wants it to be the next one at some.
func (v *viewer) send(year int, receivers ...*viewer) {
	v.t.Helper()
	ctx, cancel := context.WithTimeout(v.t.Context(), 60*time.Second)
	defer cancel()
	now := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := v.hub.SendTimeToClients(ctx, now); err != nil {
		v.t.Errorf("%d: %v", year, err)
	}
	for _, to := range receivers {
		select {
		case got := <-to.shown:
			if got != now {
				v.t.Fatalf("shown %v, want %v", got, now)
			}
		case <-ctx.Done():
			v.t.Fatalf("%v is not shown", now)
		}
	}
}

// awaitReady waits until /readyz has a text, with status 200.
func (r *running) awaitReady(want string) {
	r.t.Helper()
	for end := time.Now().Add(60 * time.Second); ; {
		response := r.do(http.MethodGet, "/readyz", "")
		got := text(r.t, response)
		if response.StatusCode != http.StatusOK {
			r.t.Fatal(response.Status)
		}
		if got == want+"\n" {
			return
		}
		if time.Now().After(end) {
			r.t.Fatalf("%q, want %q", got, want)
		}
		time.Sleep(10 * time.Millisecond) // nothing wakes this wait
	}
}

const degraded = "ready, degraded: Redis is unavailable"

// A time that a client sends reaches the clients of all programs, in a cluster and without one. A
// tick reaches those of its own program: one that starts late, and ticks then, shows the others
// nothing. While Redis is away, each program serves its own clients.
func TestProgramsBehindRedis(t *testing.T) {
	for name, startAll := range map[string]func(*testing.T, *testproc.Redis) (metrics string, all []*running){
		"cluster": func(t *testing.T, s *testproc.Redis) (string, []*running) {
			addresses, all := startCluster(t, with(s))
			return addresses[3], all
		},
		"alone": func(t *testing.T, s *testproc.Redis) (string, []*running) {
			at := testproc.FreeAddress()
			one := start(t, func(c *Config) { with(s)(c); c.MetricsAddr = at })
			return at, []*running{one, start(t, with(s))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newRedis(t)
			s.Start()
			metrics, all := startAll(t, s)
			a, b := all[0].view(), all[1].view()
			awaitMetrics(t, "http://"+metrics+"/metrics", `carillon_backplane_up 1`)
			late := start(t, func(c *Config) { with(s)(c); c.Interval = time.Hour })
			late.awaitReady("ready")
			b.send(2001, a, b)
			late.view().send(2002, a, b)
			s.Stop()
			for _, r := range all {
				r.awaitReady(degraded)
			}
			a.send(2003, a)
			b.send(2004, b)
			awaitMetrics(t, "http://"+metrics+"/metrics", `carillon_backplane_up 0`, `carillon_backplane_gaps_total 1`, `carillon_backplane_channels{state="subscribed"} 0`)
			s.Start()
			for _, r := range all {
				r.awaitReady("ready")
			}
			a.send(2005, a, b)
			b.send(2006, a, b)
			awaitMetrics(t, "http://"+metrics+"/metrics", `carillon_backplane_up 1`, `carillon_backplane_payloads_total{event="malformed"} 0`)
			for _, r := range all {
				r.wantLog(`level=ERROR msg="Redis unavailable"`, 1, 3) // the end, and perhaps attempts that fail
				r.wantLog(`level=INFO msg="Redis available"`, 2, 2)
				for _, secret := range []string{password, url.PathEscape(password), url.UserPassword("", password).String()} {
					r.wantLog(secret, 0, 0)
				}
			}
		})
	}
}

func (r *running) wantLog(text string, least, most int) {
	r.t.Helper()
	if got := strings.Count(r.log.String(), text); got < least || got > most {
		r.t.Errorf("%d lines with %q, want %d to %d:\n%s", got, text, least, most, r.log)
	}
}

// A program that starts before Redis serves its clients, and joins the others when Redis comes.
func TestStartBeforeRedis(t *testing.T) {
	s := newRedis(t)
	one, two := start(t, with(s)), start(t, with(s))
	one.awaitReady(degraded)
	a, b := one.view(), two.view()
	a.send(2001, a)
	s.Start()
	one.awaitReady("ready")
	two.awaitReady("ready")
	a.send(2002, a, b)
	one.wantLog("connection refused", 1, 1)
}

// A program ends in order while Redis does not answer.
func TestEndWhileRedisHangs(t *testing.T) {
	s := newRedis(t)
	s.Start()
	r := start(t, with(s))
	r.awaitReady("ready")
	v := r.view()
	s.Signal(syscall.SIGSTOP)
	r.stop()
	err := <-r.ended
	r.ended <- err
	if err != nil {
		t.Error(err)
	}
	select {
	case <-v.shown:
		t.Error("something was shown")
	default:
	}
}

func TestInvalidSettingsOfRedis(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"--redis: redis: the URL": func(c *Config) { c.Redis = "redis://user:sec/ret@host" },
		"--redis-hub":             func(c *Config) { c.RedisHub = "" },
		"--redis-prefix needs":    func(c *Config) { c.Redis, c.RedisPrefix = "", "x" },
		"hubs.b.redis-hub: hub a has the name b already": func(c *Config) {
			c.Hubs = []hubfile.Hub{hubfile.New("a"), hubfile.New("b")}
			c.Hubs[0].RedisHub = "b"
		},
		"hubs.a.redis-hub: must not be empty": func(c *Config) {
			c.Hubs = []hubfile.Hub{hubfile.New("a")}
			c.Hubs[0].RedisHub = ""
		},
	} {
		c := Config{Path: "/hub", Transports: []string{"WebSockets"}, Redis: "redis://localhost", RedisHub: "ClockHub"}
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "sec/") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// Three programs in a cluster serve two hubs over Redis. A message that one of them publishes
// reaches the clients of its hub at all of them: those of the path, and those that are redirected,
// whose requests arrive anywhere.
func TestHubsOfSeveralPrograms(t *testing.T) {
	chat, news := hubfile.New("chat"), hubfile.New("news")
	chat.Clients.Anonymous, news.RedisHub = true, "MyApp.Hubs.News"
	news.APIKeyFile = secretFile(t, apiKey)
	chat.APIKeyFile, chat.AccessKeyFile = news.APIKeyFile, secretFile(t, strings.Repeat("k", 40))
	server := newRedis(t)
	server.Start()
	_, all := startCluster(t, withHubs(chat, news), func(c *Config) { c.Redis, c.RedisPrefix = server.URL(), "test:" })
	for _, r := range all {
		r.awaitReady("ready")
	}
	token := signed(t, jwt.SigningMethodHS256, []byte(strings.Repeat("k", 40)), "", jwt.MapClaims{"aud": "http://any/client/?hub=chat", "exp": time.Now().Add(time.Hour).Unix()})
	redirected := client.Options{AccessToken: func(context.Context) (string, error) { return token, nil }, Transports: []client.Transport{client.LongPolling}}
	var chats, others []*listener
	for i, r := range all {
		chats = append(chats, r.listen("/hubs/chat", client.Options{}))
		others = append(others, r.listen("/hubs/news", client.Options{}))
		redirected.HTTPClient = &http.Client{Transport: &rotating{all: all, next: i}}
		chats = append(chats, r.listen("/client/?hub=chat", redirected))
	}
	for i, r := range all {
		r.publish("chat", fmt.Sprint("chat ", i))
		r.publish("news", fmt.Sprint("news ", i))
		for _, l := range chats {
			l.expect(t, fmt.Sprint("chat ", i))
		}
		for _, l := range others {
			l.expect(t, fmt.Sprint("news ", i))
		}
	}
}

// rotating sends each request to the next program.
type rotating struct {
	all  []*running
	mu   sync.Mutex
	next int
}

func (r *rotating) RoundTrip(request *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.next = (r.next + 1) % len(r.all)
	host := strings.TrimPrefix(r.all[r.next].url, "http://")
	r.mu.Unlock()
	request = request.Clone(request.Context())
	request.URL.Host = host
	return r.all[0].client.Transport.RoundTrip(request)
}
