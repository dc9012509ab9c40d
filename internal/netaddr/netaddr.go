// Package netaddr writes and reads network addresses in the form that handlers hold them: an IPv4 address as the 32-bit
// number that its four bytes are in memory, an IPv6 address as the two 64-bit numbers that its 16 bytes are, a hardware
// address as a number of its six bytes, the first the lowest.
package netaddr

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// IP4 writes an IPv4 address.
func IP4(n uint64) string {
	var b [4]byte
	binary.NativeEndian.PutUint32(b[:], uint32(n))
	return netip.AddrFrom4(b).String()
}

// IP6 writes an IPv6 address.
func IP6(first, second uint64) string {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:], first)
	binary.NativeEndian.PutUint64(b[8:], second)
	return netip.AddrFrom16(b).String()
}

// ParseIP4 reads an IPv4 address.
func ParseIP4(s string) (uint64, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is4() {
		return 0, false
	}
	b := a.As4()
	return uint64(binary.NativeEndian.Uint32(b[:])), true
}

// ParseIP6 reads an IPv6 address.
func ParseIP6(s string) (first, second uint64, ok bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || !a.Is6() || a.Zone() != "" {
		return 0, 0, false
	}
	b := a.As16()
	return binary.NativeEndian.Uint64(b[:]), binary.NativeEndian.Uint64(b[8:]), true
}

// MAC writes a hardware address.
func MAC(n uint64) string {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], n)
	return net.HardwareAddr(b[:6]).String()
}

// ParseMAC reads a hardware address of six bytes.
func ParseMAC(s string) (uint64, bool) {
	a, err := net.ParseMAC(s)
	if err != nil || len(a) != 6 {
		return 0, false
	}
	return binary.LittleEndian.Uint64(append(a, 0, 0)), true
}

// IP returns an address of either version (4 or 6) as text.
func IP(version, first, second uint64) string {
	if version == 4 {
		return IP4(first)
	}
	return IP6(first, second)
}

// Parse reads an address of either version.
func Parse(s string) (version, first, second uint64, ok bool) {
	if n, ok := ParseIP4(s); ok {
		return 4, n, 0, true
	}
	first, second, ok = ParseIP6(s)
	return 6, first, second, ok
}
