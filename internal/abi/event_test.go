package abi

import "testing"

func TestFieldKindNames(t *testing.T) {
	if n := len(fieldKindNames); n != int(FieldUnreadable)+1 {
		t.Errorf("%d names for %d kinds", n, FieldUnreadable+1)
	}
}

// TestRet checks that e.ret is a marked copy: e.args.ret, the same field, is a plain argument.
func TestRet(t *testing.T) {
	e := Event{Fields: []Field{{Name: "fd"}, {Name: "ret", Offset: 8}}}
	if r := e.Ret(); r != nil {
		t.Errorf("an event without a return value has %+v", r)
	}
	e.HasRet = true
	if r := e.Ret(); r == nil || !r.Result || r.Offset != 8 {
		t.Errorf("return value %+v", r)
	}
	if e.Field("ret").Result {
		t.Error("the argument is marked as the return value")
	}
}
