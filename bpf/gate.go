package bpf

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/bpf/kmap"
)

// A Gate stops programs at once: programs do nothing while it is shut. Detaching is slower: the
// kernel takes tens of milliseconds per perf event, one after the other, and programs run until
// then.
type Gate struct{ m *kmap.Map }

// NewGate returns a new gate, which is open.
func NewGate() (*Gate, error) {
	m, err := kmap.New(kmap.Spec{Name: "gate", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return nil, err
	}
	return &Gate{m}, (&Gate{m}).Open()
}

// Map returns the map that programs read.
func (g *Gate) Map() *kmap.Map { return g.m }

// Open lets programs run.
func (g *Gate) Open() error { return g.set(1) }

// Shut stops the programs and waits until none is running.
func (g *Gate) Shut() error {
	if err := g.set(0); err != nil {
		return err
	}
	return WaitForPrograms()
}

// WaitForPrograms waits until every run of a program that has begun is over. Closing a link does
// not: the kernel frees the program only after its runs, but lets them continue.
func WaitForPrograms() error {
	const global = 1 // MEMBARRIER_CMD_GLOBAL waits for an RCU grace period; programs run as RCU readers
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, global, 0, 0); errno != 0 {
		return fmt.Errorf("wait for programs that run: %w", errno)
	}
	return nil
}

func (g *Gate) set(open uint64) error {
	return g.m.Update(make([]byte, 4), binary.NativeEndian.AppendUint64(nil, open), 0)
}

// Close closes the map. Programs that use it keep it alive.
func (g *Gate) Close() error { return g.m.Close() }
