package golden

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/carillon-go/carillon/internal/fold"
)

// headerGroups expands the groups of headers that the transcripts abbreviate.
var headerGroups = map[string][]string{
	"@no-cache": {"Cache-Control: no-cache, no-store", "Expires: Thu, 01 Jan 1970 00:00:00 GMT", "Pragma: no-cache"},
	"@poll": {
		"Content-Length: as is right", "Content-Type: application/octet-stream",
		"Cache-Control: no-cache, no-store", "Expires: Thu, 01 Jan 1970 00:00:00 GMT", "Pragma: no-cache",
	},
	"@json":  {"Content-Length: as is right", "Content-Type: application/json"},
	"@text":  {"Content-Type: text/plain", "Transfer-Encoding: chunked"},
	"@empty": {"Content-Length: 0", "Content-Type: text/plain"},
}

// unrecorded are headers that the transcripts leave out.
var unrecorded = []string{"Date", "Server", "Set-Cookie"}

// compareHeaders compares headers in any order, ignoring the case of names.
func compareHeaders(recorded []string, x *exchange) error {
	want := expandHeaders(recorded, len(x.body))
	var got []string
	for _, h := range x.headers {
		name, v, _ := strings.Cut(h, ":")
		if slices.ContainsFunc(unrecorded, func(n string) bool { return fold.Equal(n, name) }) {
			continue
		}
		got = append(got, allow(strings.ToLower(name), strings.TrimSpace(v), x)...)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		return fmt.Errorf("the headers differ:\n\twant %q\n\tgot  %q", want, got)
	}
	return nil
}

func expandHeaders(recorded []string, length int) []string {
	var want []string
	for _, h := range recorded {
		group, ok := headerGroups[h]
		if !ok {
			group = []string{h}
		}
		for _, h := range group {
			name, v, _ := strings.Cut(h, ": ")
			want = append(want, strings.ToLower(name)+": "+withoutDescription(v))
		}
	}
	right := "content-length: " + strconv.Itoa(length)
	for i, h := range want {
		if h == "content-length: as is right" {
			want[i] = right
		}
	}
	slices.Sort(want)
	return slices.Compact(want) // a case may record a length and "as is right"
}

// allow maps a header in which a server may differ, for a reason, to the recorded one.
func allow(name, v string, x *exchange) []string {
	switch {
	case name == "x-accel-buffering" && v == "no" && x.eventStream():
		return nil // keeps nginx from buffering the stream; ASP.NET Core leaves that to the operator
	case name == "connection" && v == "close" && x.eventStream():
		return nil // the connection closes after the stream; ASP.NET Core keeps it for another request
	case name == "cache-control" && x.eventStream():
		v = strings.TrimSuffix(v, ",no-transform") // keeps proxies from compressing, and so buffering, the stream
	case name == "www-authenticate":
		v = withoutDescription(v)
	}
	return []string{name + ": " + v}
}

// withoutDescription removes the description of a refused bearer token, which is in a
// library's own words.
func withoutDescription(v string) string {
	head, _, _ := strings.Cut(v, ", error_description=")
	return head
}
