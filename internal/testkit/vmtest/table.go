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

	"github.com/bpfrepl/bpfrepl/internal/testkit/buildbin"
)

// Lines that delimit the generated tables in a document.
const (
	tableBegin = "<!-- features: go run ./internal/testkit/vmtest/cmd -table -->\n"
	kindsBegin = "<!-- kinds: go run ./internal/testkit/vmtest/cmd -table -->\n"
	tableEnd   = "<!-- end -->\n"
)

// column is what bpfrepl --info and the test of all probe kinds report under one kernel.
type column struct {
	version string // "6.12"
	release string
	has     map[string]string // "yes" or "no", by feature
	kinds   map[string]string // "exact", "fires" or "no: reason", by kind of probe
}

// WriteTable queries each kernel, and that of the host, for its features and probe kinds, and
// writes the results into the tables of a document.
func WriteTable(file string, log io.Writer) (err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	bin, err := buildbin.Build("cmd/bpfrepl")
	if err != nil {
		return err
	}
	tmp, err := os.MkdirTemp("", "vmtest")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	suite := Suite{Run: "^TestAllKinds$", Limit: 5 * time.Minute, Log: log}
	binaries, err := suite.build(tmp)
	if err != nil {
		return err
	}
	files, err := helperFiles()
	if err != nil {
		return err
	}
	var cols []column
	var names, about, kinds []string
	add := func(info, test []byte) error {
		c, ns, docs, err := parseInfo(string(info))
		if err != nil {
			return err
		}
		if c.kinds, kinds, err = parseKinds(string(test)); err != nil {
			return err
		}
		i := 0 // columns are sorted by version
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
			var test []byte
			if test, err = suite.kinds(k, binaries[0], files); err == nil {
				err = add(out.Bytes(), test)
			}
		}
		if err != nil {
			return fmt.Errorf("query the features of kernel %s: %w\n%s", k.Name, err, out.String())
		}
	}
	out, err := exec.Command(bin, "--info").Output()
	if err != nil {
		return fmt.Errorf("bpfrepl --info: %w", err)
	}
	test, err := exec.Command("go", "test", "./starlarkbind", "-count=1", "-v", "-run", suite.Run).CombinedOutput()
	if err != nil {
		return fmt.Errorf("the kinds of probes on this machine: %w\n%s", err, test)
	}
	// The suffix of the host's release means nothing to other readers.
	if err := add(regexp.MustCompile(`(?m)^(kernel [\d.]+)\S*`).ReplaceAll(out, []byte("$1")), test); err != nil {
		return err
	}
	doc, err := replace(string(text), tableBegin, table(cols, names, about))
	if err == nil {
		doc, err = replace(doc, kindsBegin, kindsTable(cols, kinds))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return os.WriteFile(file, []byte(doc), 0o644)
}

// replace replaces the text between the line begin and the next tableEnd.
func replace(doc, begin, text string) (string, error) {
	before, rest, ok := strings.Cut(doc, begin)
	_, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		return "", fmt.Errorf("no lines %q and %q", begin, tableEnd)
	}
	return before + begin + text + tableEnd + after, nil
}

// kinds runs the test of all probe kinds under kernel k and returns its output.
func (s Suite) kinds(k Kernel, b binary, files Files) ([]byte, error) {
	var out bytes.Buffer
	c, err := s.command(b, files, &out)
	if err != nil {
		return nil, err
	}
	res, err := k.Run(c)
	if v := judge(out.String(), b.tests); err == nil {
		err = v.err()
	}
	if err == nil && res.Status != 0 {
		err = fmt.Errorf("exit status %d", res.Status)
	}
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out.String())
	}
	return out.Bytes(), nil
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
		return c, nil, nil, fmt.Errorf("some features are unknown:\n%s", out)
	}
	return c, names, about, nil
}

// parseKinds reads the lines "kind NAME: exact|fires|no: why".
func parseKinds(out string) (kinds map[string]string, names []string, err error) {
	kinds = map[string]string{}
	for _, l := range regexp.MustCompile(`(?m)^kind (\w+): (exact|fires|no: .+)$`).FindAllStringSubmatch(out, -1) {
		kinds[l[1]] = l[2]
		names = append(names, l[1])
	}
	if len(names) == 0 {
		return nil, nil, fmt.Errorf("no kinds of probes in it:\n%s", out)
	}
	return kinds, names, nil
}

// reason extracts the reason from an error message, without the probe's name before it and the hint
// after it.
var reason = regexp.MustCompile(`^no: (?:no probe "[^"]*"|attach to \S+): (.*?)(?: \((?:use|bpfrepl)[^()]*\)|; use [^;]*)?$`)

func kindsTable(cols []column, kinds []string) string {
	var b strings.Builder
	b.WriteString("| kind |")
	for _, c := range cols {
		b.WriteString(" " + c.version + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(cols)) + "\n")
	type fact struct{ under, why string }
	var facts []fact
	who := map[fact][]string{} // kinds by fact
	for _, k := range kinds {
		fmt.Fprintf(&b, "| `%s` |", k)
		var whys []string
		under := map[string][]string{} // kernels by reason
		for _, c := range cols {
			cell, _, _ := strings.Cut(c.kinds[k], ":")
			b.WriteString(" " + cell + " |")
			if cell == "no" {
				why := reason.ReplaceAllString(c.kinds[k], "$1")
				if under[why] == nil {
					whys = append(whys, why)
				}
				under[why] = append(under[why], c.version)
			}
		}
		b.WriteString("\n")
		for _, why := range whys {
			f := fact{strings.Join(under[why], ", "), why}
			if who[f] == nil {
				facts = append(facts, f)
			}
			who[f] = append(who[f], "`"+k+"`")
		}
	}
	b.WriteString("\n")
	for _, f := range facts {
		fmt.Fprintf(&b, "- %s under %s: %s.\n", strings.Join(who[f], ", "), f.under, f.why)
	}
	return b.String()
}
