package types

import "testing"

func TestShown(t *testing.T) {
	state := TFormatted(TInt, &Format{Name: "enum", Noun: "enum state", Names: map[int64]string{1: "RUNNING"}, Numeric: true})
	other := TFormatted(TInt, &Format{Name: "enum", Noun: "enum state", Names: map[int64]string{2: "RUNNING"}, Numeric: true})
	sym := TFormatted(TUint, &Format{Name: "ksym", Noun: "kernel symbol"})
	ip6 := TFormatted(TTuple(TUint, TUint), &Format{Name: "ip", Noun: "IP address"})
	for _, x := range []struct {
		a, b *Type
		want string // Repr of the join, "" if there is none
	}{
		{state, state, "enum state"}, {state, TInt, "i64"}, {TUint, state, ""}, {TUint, TNat, "u64"}, {TUint, TInt, ""}, {state, other, "i64"}, {sym, sym, "kernel symbol"}, {sym, TUint, ""},
		{sym, state, ""}, {ip6, ip6, "IP address"}, {ip6, TTuple(TUint, TUint), ""}, {TNone, ip6, "IP address?"},
	} {
		got := ""
		if j := Join(x.a, x.b); j != nil {
			got = j.Repr()
		}
		if got != x.want {
			t.Errorf("Join(%s, %s) = %q, want %q", x.a.Repr(), x.b.Repr(), got, x.want)
		}
	}
	if sym.Size() != 8 || ip6.Size() != 16 || !sym.IsScalar() || ip6.IsScalar() || !ip6.Storable() {
		t.Error("a formatted value is not held as its underlying type is")
	}
}
