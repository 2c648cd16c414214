package loadgen

import (
	"bytes"
	"encoding/binary"
	"time"
)

// sentAt returns the time at which a message was sent, if the message contains one: the
// first RFC 3339 time or, in MessagePack, the first time stamp.
func sentAt(record []byte, binaryProtocol bool) (time.Time, bool) {
	if t, ok := textTime(record); ok {
		return t, true
	}
	if binaryProtocol {
		return packedTime(record)
	}
	return time.Time{}, false
}

const shortestTime = len("2006-01-02T15:04:05Z")

func textTime(record []byte) (time.Time, bool) {
	for {
		// A time begins with four digits and a dash, and has a "T" at position 10.
		i := bytes.Index(record, []byte("20"))
		if i < 0 || len(record)-i < shortestTime {
			return time.Time{}, false
		}
		if t := record[i:]; t[4] == '-' && t[10] == 'T' {
			if when, ok := parseTime(t); ok {
				return when, true
			}
		}
		record = record[i+2:]
	}
}

// parseTime reads the time at the beginning of text. It runs for each delivery, so it
// does not make the string that time.Parse needs.
func parseTime(text []byte) (time.Time, bool) {
	end := shortestTime - 1
	var nanos, scale int64 = 0, int64(time.Second)
	if text[end] == '.' {
		for end++; end < len(text) && isDigit(text[end]) && scale > 1; end++ {
			scale /= 10
			nanos += int64(text[end]-'0') * scale
		}
	}
	if end >= len(text) {
		return time.Time{}, false
	}
	if text[end] != 'Z' {
		t, err := time.Parse(time.RFC3339Nano, string(text[:min(end+len("+00:00"), len(text))]))
		return t, err == nil
	}
	var n [6]int
	for i, at := range [6]int{0, 5, 8, 11, 14, 17} {
		width := 2
		if i == 0 {
			width = 4
		}
		for _, c := range text[at : at+width] {
			if !isDigit(c) {
				return time.Time{}, false
			}
			n[i] = n[i]*10 + int(c-'0')
		}
	}
	return time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], int(nanos), time.UTC), true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// The three spellings of MessagePack's time stamp, extension type -1.
var (
	time32 = []byte{0xd6, 0xff}
	time64 = []byte{0xd7, 0xff}
	time96 = []byte{0xc7, 12, 0xff}
)

func packedTime(record []byte) (time.Time, bool) {
	if i := bytes.Index(record, time64); i >= 0 && len(record) >= i+10 {
		v := binary.BigEndian.Uint64(record[i+2:])
		return time.Unix(int64(v&(1<<34-1)), int64(v>>34)), true //nolint:gosec // 34 and 30 bits
	}
	if i := bytes.Index(record, time32); i >= 0 && len(record) >= i+6 {
		return time.Unix(int64(binary.BigEndian.Uint32(record[i+2:])), 0), true
	}
	if i := bytes.Index(record, time96); i >= 0 && len(record) >= i+15 {
		return time.Unix(int64(binary.BigEndian.Uint64(record[i+7:])), int64(binary.BigEndian.Uint32(record[i+3:]))), true //nolint:gosec // as it was written
	}
	return time.Time{}, false
}
