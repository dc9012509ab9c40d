package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"
)

// A tool is a tracer to measure.
type tool struct {
	name string
	argv []string // command line without its last argument, the program's text
	ours bool
	file string // executable, whose size is measured; libraries are not counted
}

// tools returns the installed tracers: bpfrepl, and those that setup.sh has installed.
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
			fmt.Printf("%s is not installed (%s): run bench/setup.sh\n", t.name, t.file)
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

// mountTracefs mounts tracefs in the root directory of a chrooted tracer unless it is there
// already. The root's /sys may have been mounted before the host's tracefs.
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

// A figure is a series of measurements of one tool, one for each round.
type figure []float64

// String returns the median, followed by the minimum and the maximum in parentheses, or "-" if
// there are no measurements.
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
