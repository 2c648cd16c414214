package cluster

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// maxAddress is the longest encoded address. Tokens have at most 130 characters with it.
const maxAddress = 44

// The first byte of an encoded address: IPv4 and IPv6 follow in binary form. Everything else
// begins with a character of its text.
const (
	addressIPv4 = 4
	addressIPv6 = 6
)

// CheckAddress fails for a text that is no host:port at which a node can be reached.
func CheckAddress(address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("cluster: address %q: %w", address, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	ip, _ := netip.ParseAddr(host)
	switch {
	case err != nil || n == 0:
		return fmt.Errorf("cluster: address %q needs a port from 1 to 65535", address)
	case host == "" || ip.IsUnspecified():
		return fmt.Errorf("cluster: address %q is none that other nodes can dial", address)
	case !isPrintable(address):
		return fmt.Errorf("cluster: address %q has characters that no address has", address)
	}
	return nil
}

// encodeAddress encodes host:port. It fails for one that is too long, or that other nodes
// cannot dial.
func encodeAddress(address string) ([]byte, error) {
	if err := CheckAddress(address); err != nil {
		return nil, err
	}
	ip, err := netip.ParseAddrPort(address)
	switch {
	case err == nil && ip.Addr().Is4():
		b, _ := ip.AppendBinary([]byte{addressIPv4}) // never fails
		return b, nil
	case err == nil && ip.Addr().Zone() == "":
		b, _ := ip.AppendBinary([]byte{addressIPv6}) // never fails
		return b, nil
	case len(address) > maxAddress:
		return nil, fmt.Errorf("cluster: address %q has more than %d bytes; an IP address is shorter", address, maxAddress)
	}
	return []byte(address), nil
}

func isPrintable(text string) bool {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

var errAddress = errors.New("cluster: the address in a token is not valid")

// parseAddress returns the address that encodeAddress has encoded.
func parseAddress(b []byte) (string, error) {
	if len(b) == 0 {
		return "", errAddress
	}
	text := string(b)
	if b[0] == addressIPv4 || b[0] == addressIPv6 {
		var ip netip.AddrPort
		if ip.UnmarshalBinary(b[1:]) != nil {
			return "", errAddress
		}
		text = ip.String()
	}
	if encoded, err := encodeAddress(text); err != nil || string(encoded) != string(b) {
		return "", errAddress
	}
	return text, nil
}
