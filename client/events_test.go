package client

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func readEvents(r io.Reader, limit int) (events []string, err error) {
	reader := newEventReader(r, limit)
	for {
		data, err := reader.next()
		if err != nil {
			return events, err
		}
		events = append(events, string(data))
	}
}

func TestEvents(t *testing.T) {
	for stream, want := range map[string][]string{
		"":                             nil,
		"data: x\n\n":                  {"x"},
		"data:x\r\n\r\n":               {"x"},
		"data:  x \r\r":                {" x "},
		"\ufeffdata: x\n\ndata: y\n\n": {"x", "y"},
		"data: x\n\n\ufeffdata: y\n\n": {"x"},
		":\r\n\r\ndata: a\r\ndata: b\r\nid: 5\r\n\r\ndata: c\r\n\r\n": {"a\nb", "c"},
		"data: a\rdata: b\n\rdata: c\r\r":                             {"a\nb", "c"},
		": comment\n\nid: 5\n\nevent: e\n\n":                          nil,
		"event: e\ndata: {\"a\":1}\nretry: 3\n\n":                     {`{"a":1}`},
		"data\ndata:\ndata: x\n\n":                                    {"\n\nx"},
		"data:\n\ndatax: y\n\n data: z\n\n":                           nil,
		"data: whole\n\ndata: half":                                   {"whole"},
		"data: whole\n\ndata: half\n":                                 {"whole"},
	} {
		for cut := range len(stream) + 1 {
			got, err := readEvents(io.MultiReader(strings.NewReader(stream[:cut]), strings.NewReader(stream[cut:])), 100)
			if !slices.Equal(got, want) || !errors.Is(err, io.EOF) {
				t.Errorf("%q, cut at %d: %q, %v, want %q", stream, cut, got, err, want)
			}
		}
	}
}

// What comes without an end is not kept without an end.
func TestEndlessEvents(t *testing.T) {
	for _, text := range []string{"x", "data: x\n", ": x", "data: " + strings.Repeat("x", 5000) + "\n", "\ndata:\n"} {
		endless := io.MultiReader(iotest.DataErrReader(strings.NewReader("data: first\n\n")), &repeated{text: text})
		if _, err := readEvents(endless, 10_000); !errors.Is(err, bufio.ErrTooLong) && !errors.Is(err, errRepeated) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	reader := newEventReader(&repeated{text: "x"}, 10_000)
	if _, err := reader.next(); !errors.Is(err, bufio.ErrTooLong) || cap(reader.line) > 40_000 {
		t.Errorf("%v, room for %d bytes", err, cap(reader.line))
	}
}

var errRepeated = errors.New("a mebibyte was read")

type repeated struct {
	text string
	read int
}

func (r *repeated) Read(b []byte) (n int, err error) {
	if r.read > mebibyte {
		return 0, errRepeated
	}
	for n < len(b) {
		n += copy(b[n:], r.text)
	}
	r.read += n
	return n, nil
}

// FuzzEvents compares with a reader that has the whole stream at once.
func FuzzEvents(f *testing.F) {
	for _, s := range []string{"data: x\n\n", ":\r\ndata: a\r\ndata: b\r\nid: 5\r\n\r\n", "\ufeffdata\r\rdata:y\r\n\n\r", "data: half"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		got, err := readEvents(&pieces{left: stream, size: max(1, size%20)}, len(stream))
		if want := wholeEvents(string(stream)); !slices.Equal(got, want) || !errors.Is(err, io.EOF) {
			t.Errorf("%q: %q, %v, want %q", stream, got, err, want)
		}
	})
}

// pieces gives few bytes at a time.
type pieces struct {
	left []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.left) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.left[:min(p.size, len(p.left))])
	p.left = p.left[n:]
	return n, nil
}

func wholeEvents(stream string) (events []string) {
	stream = strings.TrimPrefix(stream, "\ufeff")
	stream = strings.ReplaceAll(strings.ReplaceAll(stream, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(stream, "\n")
	var data []string
	for _, line := range lines[:len(lines)-1] {
		name, value, _ := strings.Cut(line, ":")
		switch {
		case name == "data" && line != "":
			data = append(data, strings.TrimPrefix(value, " "))
		case line == "":
			if text := strings.Join(data, "\n"); text != "" {
				events = append(events, text)
			}
			data = nil
		}
	}
	return events
}

// A long message is looked at and copied once, however small the pieces are in which it comes: a byte that is spoilt after it came
// is not seen.
func TestReceiveLooksOnce(t *testing.T) {
	r := newRun(t.Context(), New("http://tape", Options{}))
	s := r.newSession(newTape(), LongPolling, target{})
	defer s.abort(ErrStopped)
	s.handshaken = true
	message := []byte(`{"type":6,"x":"` + strings.Repeat("x", 100) + `"}` + record)
	for piece := range slices.Chunk(message[:100], 10) {
		if err := s.feed(piece); err != nil {
			t.Fatal(err)
		}
		s.rest[len(s.rest)-1] = record[0]
	}
	if len(s.rest) != 100 {
		t.Fatalf("%d bytes are kept: the ends of earlier pieces were looked at again", len(s.rest))
	}
	copy(s.rest, message)
	if err := s.feed(message[100:]); err != nil || len(s.rest) > 0 {
		t.Errorf("%v, %d bytes are kept", err, len(s.rest))
	}
}
