// Command publish is the part of publish.py that needs speed: a handler to compare with, a number
// of requests, and the load with its receivers.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/carillon-go/carillon/client"
)

var (
	sink     = flag.String("sink", "", "serve a handler that reads bodies at this address")
	url      = flag.String("url", "", "URL to send requests to; of the server with -load")
	header   = flag.String("header", "", "header of the requests, as NAME: VALUE")
	requests = flag.Int("requests", 5000, "number of requests")
	size     = flag.Int("size", 128, "length of the text in a message")
	parallel = flag.Int("parallel", 8, "number of publishers")
	load     = flag.Bool("load", false, "connect receivers to the hub chat, and publish to them")
	clients  = flag.Int("clients", 1000, "number of receivers")
	seconds  = flag.Int("seconds", 60, "time of each part of the load")
	single   = flag.Int("single", 1000, "publications a second, each to one receiver")
	all      = flag.Int("all", 30, "publications a second, each to all receivers")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	switch {
	case *sink != "":
		l, err := net.Listen("tcp", *sink)
		if err != nil {
			return err
		}
		return (&http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(readBody)}).Serve(l)
	case *load:
		return measure()
	}
	return each(*parallel, func(p int) error {
		for i := p; i < *requests; i += *parallel {
			if err := post(*url, message(p, i)); err != nil {
				return err
			}
		}
		return nil
	})
}

func readBody(w http.ResponseWriter, r *http.Request) {
	if _, err := io.ReadAll(r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// each runs f for every publisher.
func each(n int, f func(p int) error) error {
	errs := make([]error, n)
	var running sync.WaitGroup
	for p := range n {
		running.Go(func() { errs[p] = f(p) })
	}
	running.Wait()
	return errors.Join(errs...)
}

func message(publisher, number int) string {
	return fmt.Sprintf(`{"target":"message","arguments":[%d,%d,%q]}`, publisher, number, strings.Repeat("x", *size))
}

var sender = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}, Timeout: time.Minute}

func post(url, body string) error {
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if name, value, ok := strings.Cut(*header, ": "); ok {
		r.Header.Set(name, value)
	}
	answer, err := sender.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusAccepted {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return err
}

// receiver is a client that counts the messages of every publisher.
type receiver struct {
	conn *client.HubConnection
	last []atomic.Int64 // by publisher, the number of its last message
}

var received, outOfOrder atomic.Int64

func (r *receiver) message(_ context.Context, publisher, number int, _ string) error {
	received.Add(1)
	if r.last[publisher].Swap(int64(number)) >= int64(number) {
		outOfOrder.Add(1)
	}
	return nil
}

func connect(ctx context.Context) ([]*receiver, error) {
	receivers := make([]*receiver, *clients)
	err := each(*parallel, func(p int) error {
		for i := p; i < len(receivers); i += *parallel {
			r := &receiver{conn: client.New(*url+"/hubs/chat", client.Options{Transports: []client.Transport{client.WebSockets}}), last: make([]atomic.Int64, *parallel+1)}
			r.conn.On("message", client.Action3(r.message))
			if err := r.conn.Start(ctx); err != nil {
				return err
			}
			receivers[i] = r
		}
		return nil
	})
	return receivers, err
}

// publish sends a number of messages at a rate, and returns the number of those that failed.
func publish(publisher, perSecond, total int, to func(i int) string) (failed int) {
	began := time.Now()
	for i := range total {
		time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(perSecond)))) // the rate
		if err := post(to(i), message(publisher, i+1)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			failed++
		}
	}
	return failed
}

type result struct {
	Part                                 string
	Sent, Failed, Lost, Extra, Disorders int64
	Seconds                              float64
}

// part makes one part of the load and prints its result.
func part(name string, expected int64, f func() (failed int)) {
	before, disorders, began := received.Load(), outOfOrder.Load(), time.Now()
	failed := f()
	took := time.Since(began)
	for deadline := time.Now().Add(20 * time.Second); received.Load()-before < expected && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond) // messages are under way
	}
	got := received.Load() - before
	_ = json.NewEncoder(os.Stdout).Encode(result{
		Part: name, Sent: expected, Failed: int64(failed), Lost: max(0, expected-got), Extra: max(0, got-expected),
		Disorders: outOfOrder.Load() - disorders, Seconds: took.Seconds(),
	})
}

func measure() error {
	ctx := context.Background()
	receivers, err := connect(ctx)
	if err != nil {
		return err
	}
	_ = json.NewEncoder(os.Stdout).Encode(result{Part: "connected"})
	const query = "/:send?api-version=2024-12-01"
	perPublisher := *single / *parallel * *seconds
	part("one", int64(perPublisher**parallel), func() int {
		var failed atomic.Int64
		_ = each(*parallel, func(p int) error {
			failed.Add(int64(publish(p, *single / *parallel, perPublisher, func(i int) string {
				r := receivers[(p+i**parallel)%len(receivers)]
				return *url + "/api/hubs/chat/connections/" + r.conn.ConnectionID() + query
			})))
			return nil
		})
		return int(failed.Load())
	})
	part("all", int64(*all**seconds*len(receivers)), func() int {
		return publish(*parallel, *all, *all**seconds, func(int) string { return *url + "/api/hubs/chat" + query })
	})
	return nil
}
