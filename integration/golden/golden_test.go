package golden

import (
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
)

var slowFlag = flag.Bool("slow", false, "also run the cases that wait for a server's default times")

// Cases wait more than they work.
const atOnce = "16"

func TestMain(m *testing.M) {
	flag.Parse()
	Slow = Slow || *slowFlag
	Original = !ours() && !running()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	code := m.Run()
	if shared.Process != nil {
		if err := shared.End(); err != nil {
			fmt.Println("FAIL:", err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

func TestTranscripts(t *testing.T) { Replay(t, serverURL(t)) }

func TestValues(t *testing.T) { ReplayValues(t, serverURL(t)) }

func TestEscapes(t *testing.T) { ReplayEscapes(t, serverURL(t)) }

// TestOurs replays what our server does where it does not imitate the original.
func TestOurs(t *testing.T) {
	if !ours() {
		t.Skip("the server is another one")
	}
	Replay(t, serverURL(t), "ours")
}

// TestShutdown replays what clients see when the server is asked to end. Each case has a server of its own, which has to
// end with success.
func TestShutdown(t *testing.T) {
	if running() {
		t.Skip("the server is not started here")
	}
	file := "ours-shutdown"
	if !ours() {
		file = "shutdown"
	}
	cases, err := load(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			skip(t, file, c.Name)
			server, err := startServer()
			if err != nil {
				unavailable(t, err)
			}
			replay(t, server.URL(), file, c, sync.OnceValue(server.Terminate)) // a second signal may kill it
			if err := server.End(); err != nil {
				t.Error(err)
			}
		})
	}
}
