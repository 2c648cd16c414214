package endpoint_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/auth/bearer"
	"github.com/carillon-go/carillon/client"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
	"github.com/carillon-go/carillon/transports"
)

// Two hubs on one mux: the pages of another site may use the first one. One call ends both.
func ExampleMount() {
	chat, news := hub.New(hub.Options{}), hub.New(hub.Options{})
	chat.Handle("Add", hub.Func2(func(_ context.Context, a, b int) (int, error) { return a + b, nil }))
	mux := http.NewServeMux()
	hubs := endpoint.Mount(mux, endpoint.At{
		"/chat":            endpoint.New(chat, endpoint.Options{Options: transports.Options{AllowedOrigins: []string{"https://app.example"}}}),
		"/t/{tenant}/news": endpoint.New(news, endpoint.Recommended()),
	})
	server := httptest.NewServer(mux)
	defer server.Close()

	ctx := context.Background()
	conn := client.New(server.URL+"/chat", client.Options{})
	if err := conn.Start(ctx); err != nil {
		panic(err)
	}
	sum, err := client.Invoke[int](ctx, conn, "Add", 20, 22)
	fmt.Println(sum, err)
	_ = conn.Stop(ctx)
	fmt.Println(hubs.Shutdown(ctx))
	// Output:
	// 42 <nil>
	// <nil>
}

// shouter is an application on raw connections: it sends back the data that it receives, in
// capital letters.
type shouter struct{ c transports.Connection }

func (shouter) Connect(c transports.Connection) (transports.Receiver, error) {
	return shouter{c}, nil
}

func (s shouter) Receive(data []byte) error {
	return s.c.Send(frame.New(bytes.ToUpper(data), false))
}

func (s shouter) Disconnected(error) {}

// Raw connections carry bytes without a hub's protocol, over the same transports.
func ExampleNewRaw() {
	raw := endpoint.NewRaw(shouter{}, endpoint.Options{})
	server := httptest.NewServer(raw)
	defer server.Close()

	conn, response, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	defer conn.Close()
	_ = conn.WriteMessage(websocket.TextMessage, []byte("hello"))
	_, data, _ := conn.ReadMessage()
	fmt.Printf("%s\n", data)
	_ = conn.Close()
	_ = raw.Shutdown(context.Background())
	// Output: HELLO
}

// A hub for users with tokens and a role. Tickets keep the tokens out of URLs.
func ExampleOptions_authenticator() {
	keys, err := bearer.Secret([]byte("a secret of at least 32 random bytes"))
	if err != nil {
		panic(err)
	}
	tokens, err := bearer.New(bearer.Options{Keys: keys, Issuer: "https://login.example.com/", Audience: "chat"})
	if err != nil {
		panic(err)
	}
	members := hub.New(hub.Options{Authorize: []auth.Policy{auth.Role("member")}})
	chat := endpoint.New(members, endpoint.Options{
		Authenticator:                   tokens,
		CloseOnAuthenticationExpiration: true,
		EnableAuthenticationRefresh:     true,
		TicketLifetime:                  30 * time.Second,
	})
	server := httptest.NewServer(chat) // or endpoint.Mount
	defer server.Close()
	response, err := http.Post(server.URL+"/chat/negotiate?negotiateVersion=1", "", nil)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	fmt.Println(response.Status, len(body))
	// Output: 401 Unauthorized 0
}

// A hub that is heard without any SignalR client. In a page:
//
//	const news = new EventSource("/news/events?topic=weather");
//	news.addEventListener("Forecast", e => show(...JSON.parse(e.data)));
//
// In a shell: curl -N "http://localhost:8080/news/events?topic=weather"
func ExampleEvents() {
	h := hub.New(hub.Options{})
	h.OnConnected(func(ctx context.Context) error {
		return h.Clients().Group("weather").Send(ctx, "Forecast", "Bergen", "rain")
	})
	topics := func(r *http.Request) []string { return r.URL.Query()["topic"] }
	news := endpoint.New(h, endpoint.Options{Events: endpoint.Events{Enabled: true, Groups: topics}})
	server := httptest.NewServer(news)
	defer server.Close()

	response, err := http.Get(server.URL + "/news/events?topic=weather")
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() && lines.Text() != `data: ["Bergen","rain"]` {
		fmt.Println(lines.Text())
	}
	fmt.Println(lines.Text())
	_ = news.Shutdown(context.Background())
	// Output:
	// :
	// retry: 2000
	//
	// event: Forecast
	// data: ["Bergen","rain"]
}
