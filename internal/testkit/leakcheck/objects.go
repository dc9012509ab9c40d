package leakcheck

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Objects are kernel objects by their IDs, which the kernel does not soon reuse. Other processes
// have objects too, so a leak can be attributed only to the objects of a single process.
type Objects struct {
	Programs, Maps, Links []uint32
	Events                int // number of perf events, which have no IDs and live as long as their descriptors
}

// OfProcess returns the objects that a process has open file descriptors of.
func OfProcess(pid int) (Objects, error) {
	var o Objects
	dir := fmt.Sprintf("/proc/%d/fdinfo", pid)
	files, err := os.ReadDir(dir)
	if err != nil {
		return o, err
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if errors.Is(err, os.ErrNotExist) { // closed in the meantime
			continue
		}
		if err != nil {
			return o, err
		}
		fields := map[string]uint32{}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(line, ":")
			if n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 32); err == nil {
				fields[key] = uint32(n)
			}
		}
		switch { // the fdinfo of a link contains prog_id too
		case fields["link_id"] != 0:
			o.Links = append(o.Links, fields["link_id"])
		case fields["prog_id"] != 0:
			o.Programs = append(o.Programs, fields["prog_id"])
		case fields["map_id"] != 0:
			o.Maps = append(o.Maps, fields["map_id"])
		}
		if name, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, f.Name())); err == nil && name == "anon_inode:[perf_event]" {
			o.Events++
		}
	}
	return o, nil
}

// Gone waits until the kernel has freed all the objects, which it does after its grace periods. If
// some still exist after the time within, the error lists them.
func (o Objects) Gone(within time.Duration) error {
	kinds := []struct {
		name string
		ids  []uint32
		open func(id uint32) (interface{ Close() error }, error)
	}{
		{"program", o.Programs, func(id uint32) (interface{ Close() error }, error) {
			return ebpf.NewProgramFromID(ebpf.ProgramID(id))
		}},
		{"map", o.Maps, func(id uint32) (interface{ Close() error }, error) { return ebpf.NewMapFromID(ebpf.MapID(id)) }},
		{"link", o.Links, func(id uint32) (interface{ Close() error }, error) { return link.NewFromID(link.ID(id)) }},
	}
	deadline := time.Now().Add(within)
	for {
		var left []error
		for _, k := range kinds {
			for _, id := range k.ids {
				obj, err := k.open(id)
				switch {
				case errors.Is(err, os.ErrNotExist):
				case err != nil:
					return fmt.Errorf("%s %d: %w", k.name, id, err)
				default:
					left = append(left, errors.Join(fmt.Errorf("%s %d still exists", k.name, id), obj.Close()))
				}
			}
		}
		if left == nil || time.Now().After(deadline) {
			return errors.Join(left...)
		}
		time.Sleep(10 * time.Millisecond) // poll: the kernel sends no notification when it is done
	}
}
