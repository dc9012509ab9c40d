package vmtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/bpfrepl/bpfrepl/internal/gobin"
)

// The lines between which a document holds the table.
const (
	tableBegin = "<!-- features: go run ./internal/vmtest/cmd -table -->\n"
	tableEnd   = "<!-- end -->\n"
)

// column is what bpfrepl --info says under one kernel.
type column struct {
	version string // "6.12"
	release string
	has     map[string]string // "yes" or "no" by feature
}

// WriteTable asks each kernel, and the machine's own, what it has, and writes the answers into a document.
func WriteTable(file string, log io.Writer) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q", file, tableBegin, tableEnd)
	}
	bin, err := gobin.Build("cmd/bpfrepl")
	if err != nil {
		return err
	}
	var cols []column
	var names, about []string
	add := func(out []byte) error {
		c, ns, docs, err := parseInfo(string(out))
		if err != nil {
			return err
		}
		i := 0 // in the order of versions
		for i < len(cols) && newer(c.version, cols[i].version) {
			i++
		}
		cols = append(cols[:i], append([]column{c}, cols[i:]...)...)
		names, about = ns, docs
		return nil
	}
	for _, k := range Kernels() {
		fmt.Fprintf(log, "vmtest: asking %s\n", k.Name)
		var out bytes.Buffer
		res, err := k.Run(Command{Program: bin, Args: []string{"--info"}, Limit: 2 * time.Minute, Output: &out})
		if err == nil && res.Status != 0 {
			err = fmt.Errorf("exit status %d", res.Status)
		}
		if err == nil {
			err = add(out.Bytes())
		}
		if err != nil {
			return fmt.Errorf("bpfrepl --info under %s: %w\n%s", k.Name, err, out.String())
		}
	}
	out, err := exec.Command(bin, "--info").Output()
	if err == nil {
		err = add(regexp.MustCompile(`(?m)^(kernel [\d.]+)\S*`).ReplaceAll(out, []byte("$1"))) // its suffix says nothing to others
	}
	if err != nil {
		return fmt.Errorf("bpfrepl --info: %w", err)
	}
	return os.WriteFile(file, []byte(before+tableBegin+table(cols, names, about)+tableEnd+after), 0o644)
}

func table(cols []column, names, about []string) string {
	var b strings.Builder
	b.WriteString("| feature |")
	for _, c := range cols {
		b.WriteString(" " + c.version + " |")
	}
	b.WriteString(" what it is |\n|---|" + strings.Repeat("---|", len(cols)+1) + "\n")
	for i, n := range names {
		fmt.Fprintf(&b, "| `%s` |", n)
		for _, c := range cols {
			b.WriteString(" " + c.has[n] + " |")
		}
		b.WriteString(" " + about[i] + " |\n")
	}
	b.WriteString("\nMeasured under")
	for i, c := range cols {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(" " + c.release)
	}
	b.WriteString(".\n")
	return b.String()
}

// parseInfo reads the lines "name yes|no since 5.8: what it is".
func parseInfo(out string) (c column, names, about []string, err error) {
	m := regexp.MustCompile(`(?m)^kernel ((\d+\.\d+)\S*)`).FindStringSubmatch(out)
	if m == nil {
		return c, nil, nil, errors.New("no kernel's release in it")
	}
	c = column{version: m[2], release: m[1], has: map[string]string{}}
	for _, l := range regexp.MustCompile(`(?m)^(\w+) +(yes|no) +since (.*)$`).FindAllStringSubmatch(out, -1) {
		c.has[l[1]] = l[2]
		names, about = append(names, l[1]), append(about, l[3])
	}
	if len(names) == 0 || strings.Contains(out, " ? ") {
		return c, nil, nil, fmt.Errorf("not every feature is known:\n%s", out)
	}
	return c, names, about, nil
}
