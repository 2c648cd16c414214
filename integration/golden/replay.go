// Package golden replays transcripts of ASP.NET Core's server (testdata) against any server
// of the same contract, over raw sockets, and compares the answers byte for byte.
//
// It compares status lines, headers (in any order), bodies, event streams, WebSocket frames,
// close codes and the way in which TCP ends. Of hub messages it compares the bytes and the
// order, but not their grouping into WebSocket messages, events or polls. It does not compare
// times. rules.go has the differences that a server is allowed, leftout.go the cases that are
// not replayed.
//
// The package's own tests replay them against the test hub of this repository, or against the
// server that CARILLON_TEST_TARGET names. testdata/README.md describes the files.
package golden

import (
	"os"
	"strings"
	"testing"
	"time"
)

// Slow also runs the cases that wait for the default times of a server, up to 17 s each. It
// must be set before Replay. The environment variable CARILLON_TEST_SLOW sets it, too.
// Default false.
var Slow = os.Getenv("CARILLON_TEST_SLOW") != ""

// Original also runs the left-out cases except races, because the server is the recorded one.
// Default false.
var Original bool

// Replay runs the cases of the transcripts against the server at baseURL (http://host:port), each as a parallel subtest.
// The server has the hubs of the test hub and of /lab with their short times. Without files it runs all Transcripts.
func Replay(t *testing.T, baseURL string, files ...string) {
	t.Helper()
	if files == nil {
		files = Transcripts
	}
	for _, file := range files {
		cases, err := load(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(file, func(t *testing.T) {
			for _, c := range cases {
				t.Run(c.Name, func(t *testing.T) {
					skip(t, file, c.Name)
					t.Parallel()
					replay(t, baseURL, file, c, nil)
				})
			}
		})
	}
}

func skip(t *testing.T, file, name string) {
	t.Helper()
	if why := leftOut[file][name]; why != "" && (!Original || strings.HasPrefix(why, "race")) {
		t.Skip("left out: " + why)
	}
	if slow[file][name] && !Slow {
		t.Skip("slow: waits for a default time of the server; CARILLON_TEST_SLOW=1 runs it")
	}
}

// slow are the cases that wait for the server's default times.
var slow = map[string]map[string]bool{
	"time": {
		"a client that reads nothing more":  true,
		"negotiated, then no transport":     true,
		"long polling: no poll for a while": true,
	},
	"stateful": {"away for more than 15 s": true},
}

// replay runs one case. stop sends SIGTERM to the server.
func replay(t *testing.T, baseURL, file string, c Case, stop func() error) {
	t.Helper()
	s, err := newSession(baseURL, file, c.Name)
	if err != nil {
		t.Fatal(err)
	}
	s.stop = stop
	t.Cleanup(s.close)
	start := time.Now()
	if err := s.play(c.Steps); err != nil {
		t.Errorf("%v\n\tafter %.1f s; note of the transcript: %s", err, time.Since(start).Seconds(), c.Note)
	}
}
