package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// A tool is a tracer that is measured.
type tool struct {
	name string
	argv []string // up to the program's text, which is the last argument
	ours bool
	file string // its executable, for the size; libraries are not counted
}

// tools lists what is here: bpfrepl, and the peers that setup.sh has installed.
func tools() ([]tool, error) {
	peers := os.Getenv("PEERS")
	if peers == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			cache = "/var/cache"
		}
		peers = filepath.Join(cache, "bpfrepl", "peers")
	}
	all := []tool{
		{"bpfrepl", []string{"./bpfrepl", "-e"}, true, "bpfrepl"},
		{"bpftrace 0.17", []string{"bpftrace", "-e"}, false, "/usr/bin/bpftrace"},
		{"bpftrace 0.23", []string{"chroot", peers + "/trixie", "bpftrace", "-e"}, false, peers + "/trixie/usr/bin/bpftrace"},
		{"bpftrace 0.27", []string{"chroot", peers + "/sid", "bpftrace", "-e"}, false, peers + "/sid/usr/bin/bpftrace"},
	}
	var here []tool
	for _, t := range all {
		if _, err := os.Stat(t.file); err != nil {
			fmt.Printf("%s is not here (%s): run bench/setup.sh\n", t.name, t.file)
			continue
		}
		if t.argv[0] == "chroot" {
			if err := mountTracefs(t.argv[1]); err != nil {
				return nil, err
			}
		}
		here = append(here, t)
	}
	return here, nil
}

// mountTracefs gives the root of a chrooted peer the tracefs that this machine has: its /sys may be older than ours.
func mountTracefs(root string) error {
	dir := filepath.Join(root, "sys/kernel/tracing")
	if _, err := os.Stat(filepath.Join(dir, "events")); err == nil {
		return nil
	}
	if err := unix.Mount("tracefs", dir, "tracefs", 0, ""); err != nil {
		return fmt.Errorf("mount tracefs on %s: %w", dir, err)
	}
	return nil
}

// A figure is what was measured of one tool, once a round.
type figure []float64

// String gives the median, and the least and the most.
func (f figure) String() string {
	if len(f) == 0 {
		return "-"
	}
	s := append(figure{}, f...)
	sort.Float64s(s)
	verb := "%.0f"
	if s[len(s)/2] < 10 {
		verb = "%.1f"
	}
	return fmt.Sprintf(verb+" ("+verb+"-"+verb+")", s[len(s)/2], s[0], s[len(s)-1])
}

func row(cells ...string) { fmt.Println("| " + strings.Join(cells, " | ") + " |") }

func head(cells ...string) {
	row(cells...)
	fmt.Println("|" + strings.Repeat("---|", len(cells)))
}
