package golden

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// recvHex compares MessagePack messages, or the handshake response, in binary messages.
func (p *peer) recvHex(st, _ Step) error {
	deadline := time.Now().Add(patience)
	if length := value[int](st, "length"); length > 0 {
		got, err := p.exactly(length, opBinary, deadline)
		if err != nil {
			return err
		}
		head, _, _ := strings.Cut(st.text("recvHex"), "…")
		return same(head, hex.EncodeToString([]byte(got[:len(head)/2])))
	}
	want, err := wantedBytes(st.text("recvHex"))
	if err != nil {
		return err
	}
	for len(want) > 0 {
		n := packedLength([]byte(want), !p.handshake)
		if n == 0 {
			return fmt.Errorf("transcript: no whole message: % x", want)
		}
		if err := p.recvPacked(want[:n], deadline); err != nil {
			return err
		}
		want = want[n:]
	}
	return nil
}

func (p *peer) recvPacked(want string, deadline time.Time) error {
	got, err := p.packed(deadline)
	for err == nil && p.packedMayBeSkipped(got, want) {
		got, err = p.packed(deadline)
	}
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", readable(want), err)
	}
	if i := strings.Index(want, sidMark); i >= 0 {
		return p.known.matchPackedSid(want, got, i)
	}
	return same(readable(want), readable(got))
}

// packedMayBeSkipped is mayBeSkipped for MessagePack: [6] and [8, n].
func (p *peer) packedMayBeSkipped(got, want string) bool {
	isAck := strings.HasPrefix(got, "\x03\x92\x08") && p.stateful
	return got != want && (got == packedPing || isAck)
}

// readable formats bytes like the transcripts: hex, with ASCII runs between pipes.
func readable(data string) string {
	var b strings.Builder
	last := 0
	for _, run := range asciiRun.FindAllStringIndex(data, -1) {
		b.WriteString(hexOf(data[last:run[0]]) + "|" + data[run[0]:run[1]] + "|")
		last = run[1]
	}
	return b.String() + hexOf(data[last:])
}

// Ten or more printable bytes except the pipe.
var asciiRun = regexp.MustCompile(`[ -{}~]{10,}`)

func hexOf(data string) string { return hex.EncodeToString([]byte(data)) }

// unhex parses hex with ASCII runs between pipes.
func unhex(text string) (string, error) {
	var b strings.Builder
	for i, part := range strings.Split(text, "|") {
		if i%2 == 1 {
			b.WriteString(part)
			continue
		}
		data, err := hex.DecodeString(part)
		if err != nil {
			return "", err
		}
		b.Write(data)
	}
	return b.String(), nil
}

// In the completed transcripts of MessagePack, <sid> stands for the server's invocation id,
// and ** for the length prefix that depends on it. In bytes to compare, sidMark stands for
// the id.
const sidMark = "\xc1sid" // 0xC1 is never used in MessagePack

// wantedBytes returns the bytes of a recvHex step.
func wantedBytes(text string) (string, error) {
	rest, prefixed := strings.CutPrefix(named.Replace(text), "**")
	data, err := unhex(strings.ReplaceAll(rest, "<sid>", hexOf(sidMark)))
	if prefixed {
		data = string(rune(len(data))) + data
	}
	return data, err
}

// packedBytes returns the bytes of a sendHex step.
func (b *bindings) packedBytes(text, hub string, length int) (string, error) {
	if text == "<alive?>" {
		return unhex(fmt.Sprintf(alivePacked, hexOf(aliveMethod(hub))))
	}
	if length > 0 {
		head, tail, _ := strings.Cut(text, "…")
		text = head + strings.Repeat(head[len(head)-2:], length-(len(head)+len(tail))/2) + tail
	}
	rest, prefixed := strings.CutPrefix(text, "**")
	id, err := b.expand("<sid>", hub)
	if strings.Contains(rest, "<sid>") {
		if err != nil {
			return "", err
		}
		rest = strings.ReplaceAll(rest, "<sid>", fmt.Sprintf("%02x", 0xA0+len(id))+hexOf(id))
	}
	data, err := unhex(rest)
	if prefixed {
		data = string(rune(len(data))) + data // below 128
	}
	return data, err
}

// matchPackedSid compares a message with one that has sidMark in place of an invocation id.
func (b *bindings) matchPackedSid(want, got string, at int) error {
	head, tail := want[1:at], want[at+len(sidMark):]
	if len(got) < 1 || !strings.HasPrefix(got[1:], head) || !strings.HasSuffix(got, tail) {
		return differ(readable(want), readable(got))
	}
	id := got[1+len(head) : len(got)-len(tail)]
	if len(id) < 2 || id[0] != byte(0xA0+len(id)-1) {
		return fmt.Errorf("no invocation id: %s", readable(id))
	}
	b.note("sid", id[1:])
	return nil
}
