// Package netaddr formats and parses network addresses in the representation that handlers use. An
// IPv4 address is its four bytes in memory read as a 32-bit number, an IPv6 address its 16 bytes
// read as two 64-bit numbers, both in native byte order. A hardware address is a number whose
// lowest six bytes are those of the address, the first one lowest.
package netaddr

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// IP4 formats an IPv4 address.
func IP4(n uint64) string {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b).String()
}

// IP6 formats an IPv6 address.
func IP6(first, second uint64) string {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:], first)
	binary.NativeEndian.PutUint64(b[8:], second)
	return netip.AddrFrom16(b).String()
}

// ParseIP4 parses an IPv4 address and reports whether it is valid.
func ParseIP4(s string) (uint64, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return 0, false
	}
	b := a.As4()
	return uint64(binary.NativeEndian.Uint32(b[:])), true
}

// ParseIP6 parses an IPv6 address without a zone and reports whether it is valid.
func ParseIP6(s string) (first, second uint64, ok bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is6() || a.Zone() != "" {
		return 0, 0, false
	}
	b := a.As16()
	return binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint64(b[8:]), true
}

// MAC formats a hardware address.
func MAC(n uint64) string {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	return net.HardwareAddr(b[:6]).String()
}

// ParseMAC parses a hardware address of six bytes and reports whether it is valid.
func ParseMAC(s string) (uint64, bool) {
	a, err := net.ParseMAC(s)
	if err != nil || len(a) != 6 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(append(a, 0, 0)), true
}

// IP formats an address of the given IP version. For version 4, the address is first; for any
// other, it is first and second as for IP6.
func IP(version, first, second uint64) string {
	if version == 4 {
		return IP4(first)
	}
	return IP6(first, second)
}

// Parse parses an IPv4 or IPv6 address and reports whether it is valid. version is 4 or 6.
func Parse(s string) (version, first, second uint64, ok bool) {
	if n, ok := ParseIP4(s); ok {
		return 4, n, 0, true
	}
	first, second, ok = ParseIP6(s)
	return 6, first, second, ok
}
