package protocol

import (
	"strconv"
	"time"
)

// Unspecified is the location of a time without a time zone: .NET's
// DateTimeKind.Unspecified. Its clock is that of UTC.
var Unspecified = time.FixedZone("Unspecified", 0)

// tick is the unit of .NET's clocks.
const tick = 100 * time.Nanosecond

// appendDateTime appends t as System.Text.Json writes a DateTime. It uses the layout that package
// time formats fastest.
func appendDateTime(dst []byte, t time.Time) []byte {
	dst = t.Add(-time.Duration(t.Nanosecond())%tick).AppendFormat(dst, time.RFC3339Nano)
	end := len(dst) - len("Z")
	isUTC := dst[end] == 'Z'
	switch {
	case t.IsZero() || t.Location() == Unspecified:
		if !isUTC {
			end = len(dst) - len("+00:00")
		}
		return dst[:end]
	case isUTC && t.Location() != time.UTC:
		return append(dst[:end], "+00:00"...)
	}
	return dst
}

// parseDateTime parses the subset of ISO 8601 that System.Text.Json accepts:
// YYYY-MM-DD[Thh:mm[:ss[.f{1,16}]][Z|(+|-)hh[:mm]]]. The first seven digits of the
// fraction count. The time 24:00:00 is the beginning of the next day, which must not be
// after the year 9999.
func parseDateTime(s []byte) (time.Time, bool) {
	p := dateParser{s}
	year, month, day := p.digits(4), p.digitsAfter('-'), p.digitsAfter('-')
	if year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(time.Month(month), year) {
		return time.Time{}, false
	}
	if len(p.s) == 0 {
		return time.Date(year, time.Month(month), day, 0, 0, 0, 0, Unspecified), true
	}
	hour, minute, second, nanos := p.digitsAfter('T'), p.digitsAfter(':'), 0, 0
	if p.at(':') {
		second = p.digitsAfter(':')
		if p.at('.') {
			nanos = p.fraction()
		}
	}
	if !isTime(hour, minute, second, nanos) {
		return time.Time{}, false
	}
	t := time.Date(year, time.Month(month), day, hour, minute, second, nanos, time.UTC)
	if t.Year() > 9999 {
		return time.Time{}, false
	}
	return p.zone(t)
}

// isTime reports whether this is a valid time of day, including 24:00:00.
func isTime(hour, minute, second, nanos int) bool {
	if hour == 24 {
		return minute == 0 && second == 0 && nanos == 0
	}
	return uint(hour) < 24 && uint(minute) < 60 && uint(second) < 60 && nanos >= 0
}

func daysIn(m time.Month, year int) int { return time.Date(year, m+1, 0, 0, 0, 0, 0, time.UTC).Day() }

// dateParser holds the unparsed rest of a date. Its methods return -1 for invalid text.
type dateParser struct{ s []byte }

func (p *dateParser) at(c byte) bool { return len(p.s) > 0 && p.s[0] == c }

func (p *dateParser) digits(n int) int {
	if len(p.s) < n {
		return -1
	}
	v := 0
	for _, c := range p.s[:n] {
		if c < '0' || c > '9' {
			return -1
		}
		v = v*10 + int(c-'0')
	}
	p.s = p.s[n:]
	return v
}

// digitsAfter reads the byte c and two digits.
func (p *dateParser) digitsAfter(c byte) int {
	if !p.at(c) {
		return -1
	}
	p.s = p.s[1:]
	return p.digits(2)
}

// fraction reads one to sixteen digits and returns the nanoseconds of the first seven.
func (p *dateParser) fraction() int {
	p.s = p.s[1:]
	ticks, n := 0, 0
	for ; len(p.s) > 0 && '0' <= p.s[0] && p.s[0] <= '9'; n++ {
		if n < 7 {
			ticks = ticks*10 + int(p.s[0]-'0')
		}
		p.s = p.s[1:]
	}
	if n == 0 || n > 16 {
		return -1
	}
	for ; n < 7; n++ {
		ticks *= 10
	}
	return ticks * int(tick)
}

// zone reads the time zone at the end of a date and returns t in its location.
func (p *dateParser) zone(t time.Time) (time.Time, bool) {
	if len(p.s) == 0 {
		if t.IsZero() {
			return time.Time{}, true
		}
		return t.In(Unspecified), true
	}
	if p.at('Z') {
		return t, len(p.s) == 1
	}
	sign := p.s[0]
	if sign != '+' && sign != '-' {
		return t, false
	}
	hours, minutes := p.digitsAfter(sign), 0
	if len(p.s) > 0 {
		minutes = p.digitsAfter(':')
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if hours < 0 || uint(minutes) > 59 || offset > 14*time.Hour || len(p.s) > 0 {
		return t, false
	}
	if sign == '+' {
		offset = -offset
	}
	t = t.Add(offset)
	if y := t.Year(); y < 1 || y > 9999 {
		return t, false
	}
	return t.In(time.Local), true
}

// appendTimeSpan appends d as .NET's TimeSpan: [-][d.]hh:mm:ss[.fffffff].
func appendTimeSpan(dst []byte, d time.Duration) []byte {
	ticks := uint64(d / tick)
	if d < 0 {
		dst = append(dst, '-')
		ticks = -ticks
	}
	const second = uint64(time.Second / tick)
	seconds, rest := ticks/second, ticks%second
	if days := seconds / 86400; days > 0 {
		dst = append(strconv.AppendUint(dst, days, 10), '.')
	}
	dst = appendPadded(dst, seconds/3600%24, 2)
	dst = appendPadded(append(dst, ':'), seconds/60%60, 2)
	dst = appendPadded(append(dst, ':'), seconds%60, 2)
	if rest > 0 {
		dst = appendPadded(append(dst, '.'), rest, 7)
	}
	return dst
}

func appendPadded(dst []byte, n uint64, width int) []byte {
	var digits [20]byte
	i := len(digits)
	for ; n > 0 || len(digits)-i < width; n /= 10 {
		i--
		digits[i] = byte('0' + n%10)
	}
	return append(dst, digits[i:]...)
}

// parseTimeSpan parses the format of appendTimeSpan.
func parseTimeSpan(s []byte) (time.Duration, bool) {
	p := dateParser{s}
	negative := p.at('-')
	if negative {
		p.s = p.s[1:]
	}
	days := p.days()
	hours, minutes, seconds, nanos := p.digits(2), p.digitsAfter(':'), p.digitsAfter(':'), 0
	if p.at('.') {
		before := len(p.s)
		if nanos = p.fraction(); before-len(p.s) > 8 {
			return 0, false
		}
	}
	if days < 0 || uint(hours) > 23 || uint(minutes) > 59 || uint(seconds) > 59 || nanos < 0 || len(p.s) > 0 {
		return 0, false
	}
	d := time.Duration(days)*24*time.Hour + time.Duration(hours*3600+minutes*60+seconds)*time.Second + time.Duration(nanos)
	if d < 0 { // more than a Duration can hold
		return 0, false
	}
	if negative {
		d = -d
	}
	return d, true
}

// days reads the days before a point, if there are any. The limit is the range of a
// Duration.
func (p *dateParser) days() int {
	const most = 106751
	n := 0
	for i, c := range p.s {
		switch {
		case c == '.' && i > 0:
			p.s = p.s[i+1:]
			return n
		case c < '0' || c > '9':
			return 0
		}
		if n = n*10 + int(c-'0'); n > most {
			return -1
		}
	}
	return 0
}
