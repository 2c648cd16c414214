package appserver

import (
	"testing"
)

func follow(t *testing.T, tr *tracker, data string) {
	t.Helper()
	whole, raw := tr.split([]byte(data + "\x1e"))
	if len(whole) != 1 || raw != nil {
		t.Fatalf("%s: %d messages, %q", data, len(whole), raw)
	}
	tr.passes(&whole[0].message)
}

// An upload keeps a server, also that of an invocation without an id, which is never completed.
func TestUploadsKeepTheServerUntilTheyEnd(t *testing.T) {
	tr := newTracker("json")
	follow(t, tr, `{"type":1,"target":"M","arguments":[],"streamIds":["s"]}`)
	if tr.isIdle() {
		t.Error("an open upload does not count")
	}
	follow(t, tr, `{"type":3,"invocationId":"s"}`)
	if !tr.isIdle() {
		t.Error("an upload that has ended counts")
	}
	follow(t, tr, `{"type":1,"invocationId":"1","target":"M","arguments":[],"streamIds":["s","t"]}`)
	if !tr.follow([]byte("{\"type\":3,\"invocationId\":\"1\"}\x1e")) {
		t.Error("uploads of a completed invocation count")
	}
	if n := len(tr.calls) + len(tr.uploads) + len(tr.asked) + len(tr.dead); n > 0 {
		t.Errorf("%d ids are left", n)
	}
}

func TestClientThatUsesAnIDTwiceIsNotFollowed(t *testing.T) {
	tr := newTracker("json")
	for range 2 {
		follow(t, tr, `{"type":1,"invocationId":"1","target":"M","arguments":[],"streamIds":["s"]}`)
	}
	if tr.isFollowed() {
		t.Error("the client is followed")
	}
	if n := len(tr.calls) + len(tr.uploads); n > 0 {
		t.Errorf("%d ids are left", n)
	}
}

func TestClientWithTooManyOpenIDsIsNotFollowed(t *testing.T) {
	tr := newTracker("json")
	for i := 0; i <= maxTracked+1 && tr.isFollowed(); i++ {
		tr.ask(string(rune(i)))
	}
	if _, raw := tr.split([]byte("{\"type\":6}\x1e")); raw == nil || tr.isFollowed() {
		t.Error("the client is followed")
	}
}
