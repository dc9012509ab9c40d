package kinds

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf"
	"github.com/bpfrepl/bpfrepl/bpf/exe"
	"github.com/bpfrepl/bpfrepl/bpf/sys"
	"github.com/bpfrepl/bpfrepl/internal/testkit/expect"
)

// vectorInstructions are instructions with VEX and EVEX prefixes, whose opcodes the kernel looks up
// as if they had none.
const vectorInstructions = `
c5f96ec7 c5f96fc1 c5fa6fc1 c5f9efc1 c5f960c1 c5f961c1 c5f962c1 c5f96cc1 c5f9d4c1 c5f9d5c1 c5f9e4c1 c5f9f4c1 c5f9fac1 c5f9fbc1 c5f816c1 c5f82fc1
c4e2791ec1 62f17d486fc1 62f1fd48efc1 62f17d486ec7
c5f877 c5f810c1 c5f828c1 c5f858c1 c5f97fc1 c5fa7fc1 c5f9d6c1 c5f9fec1 c4e27958c1 c4e37918c101 62f17c4810c1 62f17d487fc1 62f17c4858c1`

// laterForms are instructions that some kernels after 6.18 accept (jmp with an operand-size prefix,
// seen in 7.2). Compilers do not emit them, so they are refused everywhere.
var laterForms = []string{"\x66\xe9\x00", "\x66\xeb\x00"}

// probeForms returns instructions of one opcode each, with the prefixes that matter.
func probeForms(t *testing.T) [][]byte {
	t.Helper()
	var out [][]byte
	for op := range 256 { // prefixes among the opcodes precede an add
		if op != 0xc4 && op != 0xc5 && op != 0x62 { // VEX and EVEX
			out = append(out, []byte{byte(op), 0xc0})
		}
		out = append(out, []byte{0x0f, byte(op), 0xc0})
		if op >= 0x70 && op <= 0x7f || op == 0xe8 || op == 0xe9 || op == 0xeb {
			out = append(out, []byte{0x66, byte(op), 0})
		}
	}
	for _, prefix := range []byte{0x48, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36, 0x3e, 0x26} {
		out = append(out, []byte{prefix, 0x01, 0x00}, []byte{prefix, 0xff, 0xe0}, []byte{prefix, 0x0f, 0x1f, 0x00})
	}
	out = append(out, []byte{0xf3, 0xc3}, []byte{0xf3, 0x0f, 0x1e, 0xfa}, []byte{0x8e, 0xd0}, []byte{0x66, 0x0f, 0x84, 0, 0, 0, 0})
	for h := range strings.FieldsSeq(vectorInstructions) {
		b, err := hex.DecodeString(h)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b)
	}
	return out
}

// TestSteppable compares our decision on which instructions can carry a uprobe with that of the
// kernel, which it makes when it sees the instructions in a program's memory.
func TestSteppable(t *testing.T) {
	forms := probeForms(t)
	fd, err := unix.MemfdCreate("code", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	}()
	const room = 16 // for each instruction; the rest is zeros, as operands
	text := make([]byte, (room*len(forms)+4095)&^4095)
	for i, code := range forms {
		copy(text[room*i:], code)
	}
	if _, err := unix.Write(fd, text); err != nil {
		t.Fatal(err)
	}
	mapped, err := unix.Mmap(fd, 0, len(text), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Munmap(mapped); err != nil {
			t.Error(err)
		}
	}()
	at := func(i int) bpf.Target {
		return bpf.Target{Name: fmt.Sprintf("uprobe:code:% x", forms[i]), Kind: "uprobe", Driver: &uprobeProvider.Driver, Payload: userSites{file: fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd), sites: []probeSite{{offset: uint64(room * i)}}}}
	}
	c := countRunsOf(t, bpf.ProgramSpec{Type: ebpf.Kprobe, Targets: []bpf.Target{at(0)}}, false)
	attach := func(ts []bpf.Target) error {
		for len(ts) > 0 {
			n := 1
			if c.Multi() {
				n = len(ts)
			}
			a, err := attachSites(ts[:n], c.Program)
			if err != nil {
				return err
			}
			expect.NoError(t, a.Close)
			ts = ts[n:]
		}
		return nil
	}
	var able []bpf.Target
	refused := 0
	for i, code := range forms {
		ok, known := exe.AMD64Steppable(text[room*i : room*(i+1)])
		switch {
		case !known:
		case ok:
			able = append(able, at(i))
		default: // each takes the kernel about 50 ms
			err := attach([]bpf.Target{at(i)})
			if err == nil && slices.Contains(laterForms, string(code)) {
				break
			}
			if !errors.Is(err, sys.ErrnoNotSupported) && !errors.Is(err, unix.ENOEXEC) {
				t.Errorf("% x: the kernel says %v", code, err)
			}
			refused++
		}
	}
	if len(able) < 400 || refused < 60 {
		t.Errorf("%d instructions that can carry a probe, %d that cannot", len(able), refused)
	}
	if !c.Multi() { // one probe for each, 100 ms each
		able = able[len(able)-20:]
	}
	for err := attach(able); err != nil; err = attach(able) {
		low, high := 0, len(able)
		for high-low > 1 {
			if mid := (low + high) / 2; attach(able[low:mid]) == nil {
				low = mid
			} else {
				high = mid
			}
		}
		t.Errorf("%v", attach(able[low:high]))
		able = append(able[:low:low], able[high:]...)
	}
}

// attachSites attaches with a multi link, or to the only target.
func attachSites(ts []bpf.Target, p *bpf.Program) (*bpf.Attachment, error) {
	if p.Multi() {
		return bpf.AttachMulti(ts, nil, p, bpf.AttachOptions{})
	}
	return bpf.Attach(ts[0], p, bpf.AttachOptions{})
}
