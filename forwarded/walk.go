package forwarded

import (
	"net/http"
	"net/netip"
	"strings"
)

// walkX follows X-Forwarded-For. X-Forwarded-Proto and X-Forwarded-Host have one element for
// each proxy, or fewer if a proxy adds none.
func (t trusted) walkX(told http.Header) hop {
	var client netip.AddrPort
	hops := 0
	for text := range fromRight(told[forHeader]) {
		address, ok := node(text)
		if !ok || hops == maxHops {
			break
		}
		client = address
		hops++
		if !t.contains(address.Addr()) {
			break
		}
	}
	return hop{client, scheme(nth(told[protoHeader], hops)), host(nth(told[hostHeader], hops))}
}

// nth returns the n-th element from the right, starting at 1, or the leftmost one if there
// are fewer.
func nth(lines []string, n int) (element string) {
	for text := range fromRight(lines) {
		element = text
		if n--; n <= 0 {
			break
		}
	}
	return element
}

// fromRight iterates over the elements of a list in header lines, the last one first.
func fromRight(lines []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := len(lines) - 1; i >= 0; i-- {
			rest := lines[i]
			for more := true; more; {
				cut := strings.LastIndexByte(rest, ',')
				if !yield(strings.TrimSpace(rest[cut+1:])) {
					return
				}
				if more = cut >= 0; more {
					rest = rest[:cut]
				}
			}
		}
	}
}

// walkForwarded follows Forwarded. ok is false if there is none. If a proxy does not state
// host or proto, the value of the proxy nearer to the server counts.
func (t trusted) walkForwarded(lines []string) (h hop, ok bool) {
	hops := 0
	for i := len(lines) - 1; i >= 0; i-- {
		elements, wellFormed := parse(lines[i])
		for j := len(elements) - 1; j >= 0; j-- {
			e := elements[j]
			if !e.client.IsValid() || hops == maxHops {
				return h, true
			}
			hops++
			h.client = e.client
			if e.proto != "" {
				h.proto = e.proto
			}
			if e.host != "" {
				h.host = e.host
			}
			if !t.contains(e.client.Addr()) {
				return h, true
			}
		}
		if !wellFormed {
			return h, true
		}
	}
	return h, len(lines) > 0
}

// node parses an address with or without a port. An IPv6 address with a port is in brackets.
func node(text string) (netip.AddrPort, bool) {
	if a, err := netip.ParseAddrPort(text); err == nil {
		return plain(a.Addr(), a.Port())
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if text, ok = strings.CutSuffix(inner, "]"); !ok {
			return netip.AddrPort{}, false
		}
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.AddrPort{}, false
	}
	return plain(a, 0)
}

// plain refuses zones, because a zone has a meaning only on the host that wrote it.
func plain(a netip.Addr, port uint16) (netip.AddrPort, bool) {
	return netip.AddrPortFrom(a.Unmap(), port), a.Zone() == ""
}

// scheme returns http, https or "".
func scheme(text string) string {
	switch strings.ToLower(text) {
	case "http", "ws":
		return "http"
	case "https", "wss":
		return "https"
	}
	return ""
}

const maxHost = 255 + len(":65535")

// host returns text if it can be the host and port of a URL, else "".
func host(text string) string {
	outside := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~:[]", c)
	}
	if len(text) > maxHost || strings.ContainsFunc(text, outside) {
		return ""
	}
	return text
}
