package backplane

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/carillon-go/carillon/frame"
	"github.com/carillon-go/carillon/hub"
)

// recorded is a payload that ASP.NET Core published ("sent"), or that was published to it
// ("injected") and what it did. In Channel, <x> stands for IDs["x"].
type recorded struct {
	Name, Kind, Channel, Payload, Result string
	IDs                                  map[string]string
	Published                            []struct{ Channel, Payload string }
	bytes                                []byte
}

// recordings returns the payloads of a kind.
func recordings(tb testing.TB, kind string) (all []recorded) {
	tb.Helper()
	data, err := os.ReadFile("testdata/aspnet.json")
	if err == nil {
		err = json.Unmarshal(data, &all)
	}
	if err != nil {
		tb.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(r recorded) bool { return r.Kind != kind })
	for i := range all {
		r := &all[i]
		for name, id := range r.IDs {
			r.Channel = strings.ReplaceAll(r.Channel, "<"+name+">", id)
		}
		if r.bytes, err = hex.DecodeString(r.Payload); err != nil {
			tb.Fatal(err)
		}
	}
	return all
}

// again parses a payload of a channel and encodes it again.
func again(channel string, payload []byte) ([]byte, error) {
	switch {
	case strings.Contains(channel, ":internal:groups"):
		c, err := parseCommand(payload)
		return c.encode(), err
	case strings.Contains(channel, ":internal:ack:"):
		id, err := parseAck(payload)
		return appendAck(nil, id), err
	case strings.Contains(channel, ":internal:return:"), strings.HasPrefix(channel, "fake:ret"):
		id, a, err := parseAnswer(payload)
		if err != nil {
			return nil, err
		}
		return appendAnswer(nil, id, a)
	}
	v, err := parseInvocation(payload)
	out := v.append(make([]byte, 0, v.size()))
	if len(out) > v.size() {
		err = fmt.Errorf("%d bytes, want at most %d", len(out), v.size())
	}
	return out, err
}

// The payloads of the original are understood, and encoded again they are the same bytes.
func TestPayloadsOfASPNET(t *testing.T) {
	n := 0
	for _, r := range append(recordings(t, "sent"), recordings(t, "injected")...) {
		payloads := r.Published
		if r.Kind == "sent" {
			payloads = []struct{ Channel, Payload string }{{r.Channel, r.Payload}}
		}
		for _, p := range payloads {
			want, err := hex.DecodeString(p.Payload)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := again(p.Channel, want); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s:\ngot  %x, %v\nwant %x", r.Name, got, err, want)
			}
			n++
		}
	}
	if n < 50 {
		t.Errorf("%d payloads", n)
	}
}

// The names of all channels on which the original publishes have a meaning.
func TestChannelsOfASPNET(t *testing.T) {
	for _, r := range recordings(t, "sent") {
		prefix := ""
		if strings.HasPrefix(r.Channel, "app1:") {
			prefix = "app1:"
		}
		n := newNames(prefix, "Reference.ChatHub")
		to, isAudience := n.audience(r.Channel)
		switch {
		case isAudience:
			if got := n.channels(to); len(got) != 1 || got[0] != r.Channel {
				t.Errorf("%q is %+v, which is %q", r.Channel, to, got)
			}
		case r.Channel == n.groups:
		case r.Channel == n.ackChannel(r.IDs["serverA"]):
		default:
			n.server = r.IDs["serverA"]
			if v, err := parseInvocation(r.bytes); err == nil && v.returnChannel != "" {
				t.Errorf("%s: %q", r.Name, v.returnChannel)
			}
			if r.Channel != prefix+"Reference.ChatHub:internal:return:"+n.server {
				t.Errorf("%q has no meaning", r.Channel)
			}
		}
	}
	n := newNames("app1:", "H")
	if got := n.returnChannel(); got != "H:internal:return:"+n.server {
		t.Errorf("return channel %q", got)
	}
	if got := n.channels(hub.Audience{Kind: hub.InGroups, Names: []string{"a:b", "", "a:b", "é"}}); !slices.Equal(got, []string{"app1:H:group:a:b", "app1:H:group:é"}) {
		t.Errorf("got %q", got)
	}
	if to, ok := n.audience("H:all"); ok {
		t.Errorf("a channel without the prefix is %+v", to)
	}
}

// What the original accepts is accepted, and what it drops is dropped. A frame in a protocol that is left
// out is one that the original would pass on although it spoils a client's stream.
func TestForeignPayloads(t *testing.T) {
	accepted := func(r recorded) bool {
		switch {
		case strings.HasPrefix(r.Name, "ask from a peer"):
			return true
		case strings.HasPrefix(r.Name, "group command: unknown connection"): // understood; the connection is not here
			return true
		case strings.Contains(r.Name, "payload empty bin"), strings.Contains(r.Name, "empty map"), strings.Contains(r.Name, "wrong case"):
			return true // without a frame for anybody
		}
		return !strings.HasPrefix(r.Result, "json got nothing; messagepack got nothing") && r.Result != "no ack" &&
			!strings.HasPrefix(r.Result, "dropped") && r.Result != "json got nothing" && !strings.Contains(r.Result, `["alive"]`) ||
			strings.Contains(r.Name, "type 7")
	}
	for _, r := range recordings(t, "injected") {
		if _, err := again(r.Channel, r.bytes); (err == nil) != accepted(r) {
			t.Errorf("%s: %v, but of the original: %s", r.Name, err, r.Result)
		}
		if !strings.HasPrefix(r.Name, "in: ") || !accepted(r) {
			continue
		}
		v, _ := parseInvocation(r.bytes)
		for _, p := range protocols {
			got := v.frames[p.Name()] != nil
			want := strings.Contains(r.Result, p.Name()+" got [") || strings.Contains(r.Name, "excluded") ||
				strings.Contains(r.Name, "type 7") || strings.Contains(r.Name, "in: user") || strings.Contains(r.Name, "in: connection")
			if got != want {
				t.Errorf("%s: a frame in %s: %v; of the original: %s", r.Name, p.Name(), got, r.Result)
			}
		}
	}
}

func TestAcknowledgements(t *testing.T) {
	for id, want := range map[int32]string{0: "9100", 42: "912a", 180: "91ccb4", 384: "91cd0180", 70000: "91ce00011170", -1: "91ff", -1 << 31: "91d280000000"} {
		if got := hex.EncodeToString(appendAck(nil, id)); got != want {
			t.Errorf("%d: %s, want %s", id, got, want)
		}
	}
	c := command{id: 42, server: "S", action: addToGroup, group: "G", connection: "C"}
	if got := hex.EncodeToString(c.encode()); got != "952aa15301a147a143" {
		t.Errorf("a command is %s", got)
	}
}

// The extension is known to servers of this package only; its keys may become more.
func TestExtensions(t *testing.T) {
	frames := map[string][]byte{"json": []byte("{}\x1e")}
	for _, x := range []extension{{}, {end: true}, {delivery: &frame.Delivery{}}, {delivery: &frame.Delivery{Policy: frame.Conflate, Key: "tick"}}} {
		sent := invocation{frames: frames, extension: x}
		got, err := parseInvocation(sent.append(nil))
		if err != nil || got.extension.end != x.end || (got.extension.delivery == nil) != (x.delivery == nil) {
			t.Errorf("got %+v, %v, want %+v", got.extension, err, x)
		} else if x.delivery != nil && *got.extension.delivery != *x.delivery {
			t.Errorf("got %+v, want %+v", *got.extension.delivery, *x.delivery)
		}
	}
	base := invocation{frames: frames, extension: extension{end: true}}
	head, _ := bytes.CutSuffix(base.append(nil), []byte("\x81\xa3end\xc3"))
	for tail, end := range map[string]bool{"\x82\xa3end\xc3\xa3new\x93\x01\x02\x80": true, "\x81\xa3end\x01": false, "\x05": false, "": false, "\x81\xa6policy\x09": false} {
		if v, err := parseInvocation(slices.Concat(head, []byte(tail))); err != nil || v.extension.end != end || len(v.frames) != 1 {
			t.Errorf("%q: %+v, %v", tail, v, err)
		}
	}
}

// A payload that announces more than it has costs nothing.
func TestAnnouncedLengthsAreChecked(t *testing.T) {
	for _, payload := range []string{"\xdd\xff\xff\xff\xff", "\x92\xdd\xff\xff\xff\xff", "\x92\x90\xdf\xff\xff\xff\xff", "\x92\x91\xdb\xff\xff\xff\xff", "\x92\x90\x81\xa4json\xc6\xff\xff\xff\xff"} {
		if n := testing.AllocsPerRun(10, func() {
			if _, err := parseInvocation([]byte(payload)); !errors.Is(err, errPayload) {
				t.Errorf("%q: %v", payload, err)
			}
		}); n > 5 {
			t.Errorf("%q: %v allocations", payload, n)
		}
	}
}

func FuzzPayloads(f *testing.F) {
	for _, kind := range []string{"sent", "injected"} {
		for _, r := range recordings(f, kind) {
			f.Add(r.bytes)
		}
	}
	channels := []string{"all", ":internal:groups", ":internal:ack:", ":internal:return:"}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, channel := range channels {
			once, err := again(channel, payload)
			if err != nil {
				continue
			}
			if twice, err := again(channel, once); err != nil || !bytes.Equal(once, twice) {
				t.Errorf("%s: %x becomes %x, then %x, %v", channel, payload, once, twice, err)
			}
		}
	})
}

// A frame that waits for a client keeps nothing of the payload, which may be far longer.
func TestFramesAreCopies(t *testing.T) {
	v := invocation{except: []string{"c"}, frames: map[string][]byte{"json": []byte("{\"type\":6}\x1e")}}
	payload := v.append(nil)
	got, err := parseInvocation(payload)
	if err != nil {
		t.Fatal(err)
	}
	clear(payload)
	if text := string(got.frames["json"]); text != "{\"type\":6}\x1e" {
		t.Errorf("got %q", text)
	}
}
