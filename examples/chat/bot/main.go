// Bot is a client of the chat in Go. It answers the messages /time and /roll.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/carillon-go/carillon/client"

	"github.com/carillon-go/carillon/examples/chat/contract"
)

func main() {
	url := flag.String("url", "http://localhost:8080/chat", "URL of the hub")
	room := flag.String("room", "lobby", "room to join")
	flag.Parse()
	if err := run(*url, *room); err != nil {
		log.Fatal(err)
	}
}

// run keeps the bot in a room until the process is asked to end. It waits for a server
// that is not there yet.
func run(url, room string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	conn := client.New(url, client.Options{Reconnect: client.ReconnectForever(time.Second, 30*time.Second)})
	b := bot{hub: contract.NewChatHubClient(conn)}
	contract.ReceiveChat(conn, b)
	conn.OnConnected(func(ctx context.Context) error { // each connection has to join
		_, err := b.hub.Join(ctx, room, "bot")
		return err
	})
	return conn.Run(ctx)
}

// bot implements contract.Chat.
type bot struct{ hub contract.ChatHub }

// Said answers the messages that the bot knows.
func (b bot) Said(ctx context.Context, m contract.Message) error {
	switch m.Text {
	case "/time":
		return b.hub.Say(ctx, "It is "+time.Now().Format(time.TimeOnly)+".")
	case "/roll":
		return b.hub.Say(ctx, fmt.Sprintf("%s rolls a %d.", m.Name, 1+rand.IntN(6)))
	}
	return nil
}

// Present does nothing.
func (bot) Present(context.Context, []string) error { return nil }
