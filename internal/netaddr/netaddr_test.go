package netaddr

import "testing"

func TestRoundTrip(t *testing.T) {
	for _, s := range []string{"127.0.0.1", "10.1.2.3", "255.255.255.255", "0.0.0.0"} {
		if n, ok := ParseIP4(s); !ok || IP4(n) != s {
			t.Errorf("%s: %d, %v, %s", s, n, ok, IP4(n))
		}
	}
	for _, s := range []string{"::1", "2001:db8::2", "::ffff:1.2.3.4", "::"} {
		if a, b, ok := ParseIP6(s); !ok || IP6(a, b) != s {
			t.Errorf("%s: %x %x, %v, %s", s, a, b, ok, IP6(a, b))
		}
	}
	if n, ok := ParseMAC("02:42:ac:11:00:02"); !ok || MAC(n) != "02:42:ac:11:00:02" || n != 0x020011ac4202 {
		t.Errorf("%x, %v, %s", n, ok, MAC(n))
	}
	for _, s := range []string{"", "1.2.3", "::1"} {
		if _, ok := ParseIP4(s); ok {
			t.Errorf("%q is read as an IPv4 address", s)
		}
	}
	for _, s := range []string{"", "1.2.3.4", "fe80::1%lo", "::g"} {
		if _, _, ok := ParseIP6(s); ok {
			t.Errorf("%q is read as an IPv6 address", s)
		}
	}
	for _, s := range []string{"", "02:42", "02:42:ac:11:00:02:03:04"} {
		if _, ok := ParseMAC(s); ok {
			t.Errorf("%q is read as a hardware address", s)
		}
	}
}
