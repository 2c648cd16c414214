package protocol

import (
	"bytes"
	"reflect"
	"time"
)

// DateTimeOffset is a time that is encoded as .NET's DateTimeOffset: in JSON always with
// its offset from UTC, "+00:00" in UTC; in MessagePack as an array of a timestamp and the
// offset in minutes. Times with an offset of more than 14 hours, which .NET does not
// support, are written in UTC. The seconds of an offset are dropped. A plain [time.Time]
// can be decoded from both forms.
type DateTimeOffset struct{ time.Time }

var dateTimeOffsetType = reflect.TypeFor[DateTimeOffset]()

// maxOffset is the largest offset from UTC in .NET.
const maxOffset = 14 * time.Hour

// expressible returns the time with an offset that .NET supports, and that offset in
// minutes.
func (d DateTimeOffset) expressible() (t time.Time, minutes int) {
	_, seconds := d.Zone()
	minutes = seconds / 60
	if time.Duration(minutes)*time.Minute > maxOffset || time.Duration(minutes)*time.Minute < -maxOffset {
		minutes = 0
	}
	return d.In(time.FixedZone("", minutes*60)), minutes
}

func appendJSONOffset(dst []byte, d DateTimeOffset) ([]byte, error) {
	t, _ := d.expressible()
	if !isDateTime(t) || !isDateTime(t.UTC()) {
		return dst, errDateTime
	}
	return t.AppendFormat(dst, `"2006-01-02T15:04:05.9999999-07:00"`), nil
}

// appendPackOffset writes the local clock time as if it were UTC, then the offset.
func appendPackOffset(dst []byte, d DateTimeOffset) ([]byte, error) {
	t, minutes := d.expressible()
	if !isDateTime(t.UTC()) {
		return dst, errDateTime
	}
	dst, err := appendTimestamp(append(dst, 0x92), t.Add(time.Duration(minutes)*time.Minute))
	return appendPackInt(dst, int64(minutes)), err
}

// parseDateTimeOffset parses the format of parseDateTime and keeps the offset. Without an
// offset the time is local.
func parseDateTimeOffset(s []byte) (DateTimeOffset, bool) {
	t, ok := parseDateTime(s)
	if !ok {
		return DateTimeOffset{}, false
	}
	_, clock, _ := bytes.Cut(s, []byte("T"))
	at := bytes.IndexAny(clock, "Z+-")
	if at < 0 {
		return DateTimeOffset{time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.Local)}, true
	}
	if clock[at] == 'Z' {
		return DateTimeOffset{t.UTC()}, true
	}
	p := dateParser{clock[at:]}
	seconds := p.digitsAfter(clock[at]) * 3600
	if len(p.s) > 0 {
		seconds += p.digitsAfter(':') * 60
	}
	if clock[at] == '-' {
		seconds = -seconds
	}
	return DateTimeOffset{t.In(time.FixedZone("", seconds))}, true
}

// readOffsetTime reads an array of a timestamp, which is the local clock time as if it
// were UTC, and the offset in minutes.
func (r *packReader) readOffsetTime() (time.Time, error) {
	n, err := r.arrayHeader()
	if err != nil {
		return time.Time{}, err
	}
	if n != 2 {
		return time.Time{}, errOutOfRange
	}
	t, err := r.readTimestamp()
	if err != nil {
		return time.Time{}, err
	}
	minutes, err := r.readInt(16, nil)
	if err != nil {
		return time.Time{}, err
	}
	const most = int64(maxOffset / time.Minute)
	utc := t.Add(-time.Duration(minutes) * time.Minute)
	if minutes < -most || minutes > most || !isDateTime(utc) {
		return time.Time{}, errOutOfRange
	}
	if minutes == 0 {
		return utc, nil
	}
	return utc.In(time.FixedZone("", int(minutes)*60)), nil
}

// minSecond and maxSecond are the limits of the years 1 to 9999, in seconds since 1970.
const minSecond, maxSecond = -62135596800, 253402300799

// isDateTime reports whether .NET's DateTime can hold the time.
func isDateTime(t time.Time) bool { return 1 <= t.Year() && t.Year() <= 9999 }

var errDateTime = &Fault{Exception: "ArgumentOutOfRangeException", Message: "Ticks must be between DateTime.MinValue.Ticks and DateTime.MaxValue.Ticks."}
