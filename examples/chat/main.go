// Chat is a chat with rooms: a hub, and a page in TypeScript. The folder bot has a client
// in Go.
package main

import (
	"context"
	"embed"
	"flag"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/carillon-go/carillon/endpoint"
	"github.com/carillon-go/carillon/hub"
)

//go:embed web
var files embed.FS

func main() {
	addr := flag.String("addr", "localhost:8080", "address of the server")
	flag.Parse()
	if err := serve(*addr); err != nil {
		log.Fatal(err)
	}
}

// serve serves the chat until the process is asked to end.
func serve(addr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	web, err := fs.Sub(files, "web")
	if err != nil {
		return err
	}
	h := hub.New(hub.Options{Name: "chat"})
	newChat(h)

	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(web))
	hubs := endpoint.Mount(mux, endpoint.At{"/chat": endpoint.New(h, endpoint.Recommended())})
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	log.Printf("listening at http://%s", listener.Addr())
	return hubs.Serve(ctx, listener, &http.Server{Handler: mux})
}
