package starlarkbind

import (
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/internal/abi"
	"github.com/bpfrepl/bpfrepl/starlarkbind/codec"
)

// madeUp runs several processes concurrently, each on its own CPU. Each makes a call from each of
// the stacks, which are given as return addresses. On one CPU the processes could preempt each
// other within the program, which newer kernels count as misses.
func madeUp(t *testing.T, processes int, stacks [][]uint64) {
	t.Helper()
	prog := build(t, "frames")
	var in strings.Builder
	for _, s := range stacks {
		for _, a := range s {
			fmt.Fprintf(&in, "%x ", a)
		}
		in.WriteByte('\n')
	}
	var wg sync.WaitGroup
	for i := range min(processes, runtime.NumCPU()) {
		wg.Go(func() {
			cmd := exec.Command(prog, fmt.Sprint(i))
			cmd.Stdin = strings.NewReader(in.String())
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("frames: %v: %s", err, out)
			}
		})
	}
	wg.Wait()
}

// stacksOf returns how often each process counted each stack. A stack is named by its frames
// without the first, which is the place of the call.
func stacksOf(t *testing.T, l *live) map[int]map[string]int {
	t.Helper()
	out := map[int]map[string]int{}
	for _, kv := range l.reg.maps[0].(starlark.IterableMapping).Items() {
		k := kv[0].(*codec.Stack)
		if out[k.PID] == nil {
			out[k.PID] = map[string]int{}
		}
		name := k.Lost
		if name == "" {
			name = fmt.Sprint(k.Frames[min(1, len(k.Frames)):])
		}
		out[k.PID][name] += int(codec.Word(kv[1]))
	}
	return out
}

func countStacks(t *testing.T, frames int) *live {
	t.Helper()
	l := newLive(t, nil)
	if err := l.script(fmt.Sprintf(`
u = count(max_keys=100000)
p = probe("tracepoint:syscalls:sys_enter_getppid", lambda e: u.add(by=ustack(%d)), filter=lambda e: e.comm == "frames" and e.ppid == me)
`, frames)); err != nil {
		t.Fatal(l.FormatError(err))
	}
	return l
}

// Many thousands of stacks of all depths, which two processes create at the same time: each is
// counted as often as it occurred, and none is taken for another.
func TestStacksExact(t *testing.T) {
	n := 12000
	if testing.Short() {
		n = 2000
	}
	var stacks [][]uint64
	for i := range n {
		s := make([]uint64, 1+i%125)
		for j := range s {
			s[j] = uint64(0x400000 + 16*(i/125+j%3)) // as of recursive functions
		}
		s[len(s)/2] += uint64(i % 7)
		stacks = append(stacks, s)
	}
	for _, frames := range []int{127, 20, 9, 8, 7, 3, 1} {
		t.Run(fmt.Sprint(frames), func(t *testing.T) {
			l := countStacks(t, frames)
			madeUp(t, 2, append(slices.Clone(stacks), stacks...))
			want := map[string]int{}
			for _, s := range stacks {
				want[fmt.Sprint(s[:min(len(s), frames-1)])] += 2
			}
			got := stacksOf(t, l)
			if len(got) != min(2, runtime.NumCPU()) {
				t.Errorf("stacks of %d processes", len(got))
			}
			for pid, have := range got {
				if len(have) != len(want) {
					t.Errorf("process %d: %d stacks, want %d", pid, len(have), len(want))
				}
				for name, w := range want {
					if have[name] != w {
						t.Errorf("process %d: stack %s: %d times, want %d", pid, name, have[name], w)
						break
					}
				}
			}
			if err := l.item("print(errors(), p.stats().missed)"); err != nil {
				t.Fatal(err)
			}
			if out := l.out.String(); out != "[] 0\n" {
				t.Error(out)
			}
		})
	}
}

// Stacks constructed to have the same ID are distinguished, unless there are too many of them.
func TestStacksOfOneNumber(t *testing.T) {
	l := countStacks(t, 127)
	madeUp(t, 1, [][]uint64{{}})
	var ip uint64
	for _, kv := range l.reg.maps[0].(starlark.IterableMapping).Items() {
		ip = kv[0].(*codec.Stack).Frames[0]
	}
	mix := func(h uint64) uint64 {
		h *= abi.StackHashMul
		return h ^ h>>32
	}
	start := mix(mix(3*8) ^ ip)
	first := mix(start ^ 0x1000)
	want := map[string]int{"[]": 1}
	var stacks [][]uint64
	for i := range uint64(6) {
		s := []uint64{0x1000 + i, 0x2000 ^ first ^ mix(start^(0x1000+i))}
		stacks = append(stacks, s, s)
		if i < abi.StackProbes {
			want[fmt.Sprint(s)] = 2
		}
	}
	want["[stack not kept: EEXIST]"] = 4
	madeUp(t, 1, stacks)
	got := map[string]int{}
	for _, have := range stacksOf(t, l) {
		for name, n := range have {
			got[name] += n
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	expectErrors(t, l, "<helper_error map_update_elem EEXIST ×4 at test.star:3:77: ustack: all the IDs that this stack could have belong to other stacks, so this stack's frames were dropped; what was added counts under a stack without frames> this does not happen by chance: a process has forged its frames")
}

// A stack that does not fit is counted and reported as lost.
func TestStacksFull(t *testing.T) {
	l := countStacks(t, 127)
	m, err := l.stacks.Get(127)
	if err != nil {
		t.Fatal(err)
	}
	var stacks [][]uint64
	for i := range m.Room() + 100 {
		stacks = append(stacks, []uint64{uint64(0x1000 + i)})
	}
	madeUp(t, 1, stacks)
	for _, have := range stacksOf(t, l) {
		if n := have["[stack not kept: E2BIG]"]; n != 100 || len(have) != m.Room()+1 {
			t.Errorf("%d of %d stacks, %d not kept", len(have), len(stacks), n)
		}
	}
	expectErrors(t, l, "<helper_error map_update_elem E2BIG ×100 at test.star:3:77: ustack: the stack map is full, so this stack's frames were dropped; what was added counts under a stack without frames> record fewer different stacks: fewer frames, ustack(8), or a filter")
}

func expectErrors(t *testing.T, l *live, want string) {
	t.Helper()
	if err := l.item("for x in errors(): print(x, x.hint)"); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(l.out.String()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The stacks of a process that has ended have symbols: they were read while it ran.
func TestEndedProcess(t *testing.T) {
	prog := build(t, "calls")
	expectOf(t, prog, `
stacks, syms = count(), count()
p = probe("uprobe:PROG:six", lambda e: stacks.add(by=ustack(1)))
q = probe("uprobe:PROG:six", lambda e: syms.add(by=usym(reg("ip"))))
cmd = spawn(["PROG", "20000"])
run(cmd)
print(cmd.exit_code, [[f.split("+")[0] for f in k.frames] for k in stacks], [(str(k), n) for k, n in syms.items()])
`, `0 [["six [calls]"]] [("six [calls]", 20000)]`)
}
