package metrics_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/internal/metrics"
	"github.com/carillon-go/carillon/transports"
)

// attributes are .NET's words for the transports.
var attributes = map[transports.Type]string{
	transports.WebSockets: "web_sockets", transports.ServerSentEvents: "server_sent_events", transports.LongPolling: "long_polling",
}

// site is a hub that is watched.
type site struct {
	t       *testing.T
	metrics *metrics.Metrics
	hub     *endpoint.Endpoint
	url     string
}

func newSite(t *testing.T, disconnectTimeout time.Duration) *site {
	t.Helper()
	m, h := metrics.New(), hub.New(hub.Options{})
	ofHub := m.Hub("")
	e := endpoint.New(h, endpoint.Options{Options: transports.Options{Meter: ofHub, DisconnectTimeout: disconnectTimeout}})
	ofHub.Watch(h, e)
	server := httptest.NewServer(e)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := e.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return &site{t, m, e, server.URL}
}

func (s *site) connect(transport transports.Type) *client.HubConnection {
	s.t.Helper()
	c := client.New(s.url, client.Options{Transports: []client.Transport{transport}, Memory: client.NewMemory()})
	if err := c.Start(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *site) scrape() string {
	w := httptest.NewRecorder()
	s.metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

// await waits until a metric has a value.
func (s *site) await(metric string, value int) {
	s.t.Helper()
	line := fmt.Sprintf("\n%s %d\n", metric, value)
	for deadline := time.Now().Add(time.Minute); !strings.Contains(s.scrape(), line); {
		if time.Now().After(deadline) {
			s.t.Fatalf("no %q in\n%s", line, s.scrape())
		}
		time.Sleep(time.Millisecond) //nolint:forbidigo // a connection ends beside
	}
}

func ended(status string, transport transports.Type) string {
	return fmt.Sprintf("signalr_server_connection_duration_seconds_count{signalr_connection_status=%q,signalr_transport=%q}", status, attributes[transport])
}

// How a connection ends is told in .NET's words.
func TestEnds(t *testing.T) {
	for transport, attribute := range attributes {
		t.Run(attribute, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 0)
			active := fmt.Sprintf("signalr_server_active_connections{signalr_transport=%q}", attribute)
			c := s.connect(transport)
			s.await(active, 1)
			if err := c.Stop(t.Context()); err != nil {
				t.Error(err)
			}
			s.await(active, 0)
			s.await(ended("normal_closure", transport), 1)
			c = s.connect(transport)
			if err := s.hub.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			s.await(ended("app_shutdown", transport), 1)
			if err := c.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A client that polls no more has not left: its time is over. One that never came does not count.
func TestTimeOut(t *testing.T) {
	s := newSite(t, time.Second)
	s.negotiate()
	s.await("carillon_connections", 0)
	if text := s.scrape(); strings.Contains(text, "signalr_server") {
		t.Error(text)
	}
	response, err := http.Get(s.url + "/?id=" + s.negotiate())
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	s.await(ended("timeout", transports.LongPolling), 1)
}

func (s *site) negotiate() (id string) {
	s.t.Helper()
	response, err := http.Post(s.url+"/negotiate", "", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var offer struct{ ConnectionID string }
	if err := json.NewDecoder(response.Body).Decode(&offer); err != nil {
		s.t.Fatal(err)
	}
	return offer.ConnectionID
}
