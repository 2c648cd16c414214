package endpoint_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/carillon-go/carillon/auth"
	"github.com/carillon-go/carillon/auth/bearer"
	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
)

// A hub for users with tokens: policy decides who of them may enter, tickets keep the
// tokens out of URLs.
func ExampleEndpoint_Authenticator() {
	keys, err := bearer.Secret([]byte("a secret of at least 32 random bytes"))
	if err != nil {
		panic(err)
	}
	tokens, err := bearer.New(bearer.Options{Keys: keys, Issuer: "https://login.example.com/", Audience: "chat"})
	if err != nil {
		panic(err)
	}
	policy := func(u *auth.User, _ *http.Request) error {
		if u.Claims["role"] != "member" {
			return auth.ErrForbidden
		}
		return nil
	}
	chat := endpoint.New(hub.New(hub.Options{}), endpoint.Options{
		CloseOnAuthenticationExpiration: true,
		EnableAuthenticationRefresh:     true,
		TicketLifetime:                  30 * time.Second,
	})
	guarded := auth.Middleware(chat.Authenticator(tokens), auth.Require(policy, chat))
	mux := http.NewServeMux()
	mux.Handle("/chat", guarded)
	mux.Handle("/chat/", guarded) // negotiate and refresh

	server := httptest.NewServer(mux)
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
