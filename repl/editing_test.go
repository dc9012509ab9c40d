package repl

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/bpfrepl/bpfrepl/internal/cellwidth"
	"github.com/bpfrepl/bpfrepl/internal/testkit/tmux"
)

// on starts the prompt in a terminal emulator and waits until it is ready.
func on(t *testing.T, opt tmux.Options, env ...string) *tmux.Screen {
	t.Helper()
	opt.Env = append(append(opt.Env, "XDG_STATE_HOME="+t.TempDir()), env...)
	s := tmux.Start(t, opt, binary(t))
	s.Expect(`^>>>$`)
	return s
}

// shows waits until the last rows on the screen are want, with the cursor at the | in it.
func shows(t *testing.T, s *tmux.Screen, want string) {
	t.Helper()
	before, _, _ := strings.Cut(want, "|")
	row := strings.Count(before, "\n")
	col := cellwidth.Width(before[strings.LastIndexByte(before, '\n')+1:])
	want = strings.TrimRight(strings.Replace(want, "|", "", 1), " \n")
	rows := strings.Count(want, "\n")
	look := func() string {
		text := s.Screen()
		x, y := s.Cursor()
		return fmt.Sprintf("%s\ncursor %d %d from the end", text, x, y-strings.Count(text, "\n"))
	}
	end := regexp.QuoteMeta(fmt.Sprintf("%s\ncursor %d %d from the end", want, col, row-rows))
	s.Wait(want, look, regexp.MustCompile(`(?:^|\n)`+end+`$`).MatchString)
}

// folded splits a line, with | at the cursor, into rows of the given number of columns.
func folded(line string, cols int) string {
	before, after, _ := strings.Cut(line, "|")
	all := before + after
	var rows []string
	for at := 0; at < len(all) || at == len(before); at += cols {
		row := all[at:min(at+cols, len(all))]
		if n := len(before) - at; n >= 0 && n < cols {
			row = row[:n] + "|" + row[n:]
		}
		rows = append(rows, row)
	}
	return strings.Join(rows, "\n")
}

// A line longer than the terminal is wide continues in the next row. It stays intact when it is
// edited, and when the terminal becomes narrower or wider in the meantime.
func TestLongLine(t *testing.T) {
	s := on(t, tmux.Options{Cols: 40, Rows: 12})
	// Move the prompt to the bottom, where it usually is. Otherwise tmux keeps rows that reflow
	// past the top.
	s.Type(`print("\n" * 12)`)
	s.Keys("Enter")
	s.Expect(`^\n\n>>>\z`)
	digits, letters := strings.Repeat("0123456789", 4), strings.Repeat("d", 30)
	s.Type(`x = "` + digits[:30])
	shows(t, s, folded(`>>> x = "`+digits[:30]+"|", 40))
	s.Type("a") // the row is full
	shows(t, s, folded(`>>> x = "`+digits[:30]+"a|", 40))
	s.Type(letters + `efg"`)
	s.Wait("one line", s.Text, func(text string) bool { return strings.HasSuffix(text, `>>> x = "`+digits[:30]+"a"+letters+`efg"`) })
	s.Keys("Left", "Left", "Left", "Left", "Left", "BSpace", "BSpace")
	item := `>>> x = "` + digits[:30] + "a" + letters[:27] + `|defg"`
	for _, cols := range []int{40, 57, 30, 72, 20, 40} {
		s.Resize(cols, 12)
		shows(t, s, folded(item, cols))
		s.Type("z") // now drawn for this size, not reflowed by the terminal
		shows(t, s, folded(strings.Replace(item, "|", "z|", 1), cols))
		s.Keys("BSpace")
		shows(t, s, folded(item, cols))
	}
	s.Keys("C-a", "C-d")
	s.Type("y")
	s.Keys("Enter")
	s.Expect(`^>>>$`)
	s.Type("len(y), y[29:32], y[-1]")
	s.Keys("Enter")
	s.Expect(`^\(62, "9ad", "g"\)$`)
	if text := s.Text(); strings.Count(text, "y = ") != 1 || strings.Contains(text, "x = ") {
		t.Errorf("there are remains:\n%s", text)
	}
}

// Wide runes take two columns and combining runes none; the cursor is where the next rune goes.
func TestWideRunes(t *testing.T) {
	s := on(t, tmux.Options{Cols: 35, Rows: 12})
	s.Type(`x = "日本語🔥e` + "\u0301" + `한"`)
	shows(t, s, `>>> x = "日本語🔥e`+"\u0301"+`한"|`)
	s.Keys("Left", "Left")
	shows(t, s, `>>> x = "日本語🔥e`+"\u0301"+`|한"`)
	s.Keys("Left", "Left", "Left")
	shows(t, s, `>>> x = "日本語|🔥e`+"\u0301"+`한"`)
	s.Keys("BSpace")
	s.Type("ab")
	shows(t, s, `>>> x = "日本ab|🔥e`+"\u0301"+`한"`)
	s.Keys("End", "Left")
	s.Type("火水木金土日月年") // the next rune does not fit in the last column of a row
	shows(t, s, `>>> x = "日本ab🔥e`+"\u0301"+`한火水木金土日月`+"\n"+`年|"`)
	s.Keys("Enter")
	s.Expect(`^>>>$`)
	s.Type(`len(x), x.startswith("日本ab🔥"), x.endswith("日月年")`)
	s.Keys("Enter")
	s.Expect(`^\(42, True, True\)$`)
}

// A recalled block keeps its lines and can be edited in the middle; Enter runs it from any line.
func TestEditBlock(t *testing.T) {
	s := on(t, tmux.Options{})
	for _, line := range []string{"def f(n):", "if n > 1:", "return 10", "", ""} {
		s.Type(line)
		s.Keys("Enter")
	}
	s.Expect(`^\.\.\.         return 10\n\.\.\.\n>>>$`)
	s.Type("f(2)")
	s.Keys("Enter")
	s.Expect(`^10\n>>>$`)
	s.Keys("Up", "Up")
	shows(t, s, ">>> def f(n):\n...     if n > 1:\n...         return 10|")
	s.Keys("Up", "End", "Left", "BSpace")
	s.Type("5")
	shows(t, s, ">>> def f(n):\n...     if n > 5|:\n...         return 10")
	s.Keys("Home", "Down", "End", "M-Enter", "BSpace") // one more line, with less indentation
	s.Type("return 20")
	shows(t, s, ">>> def f(n):\n...     if n > 5:\n...         return 10\n...     return 20|")
	s.Keys("Up", "Up", "Enter")
	s.Expect(`^\.\.\.     return 20\n>>>$`)
	s.Type("f(2), f(6)")
	s.Keys("Enter")
	s.Expect(`^\(20, 10\)$`)
	s.Keys("Up", "Up") // past the last item, up through the block
	shows(t, s, ">>> def f(n):\n...     if n > 5:\n...         return 10\n...     return 20|")
	s.Keys("C-u", "C-w", "C-k") // the text of the last line, the newline and the word before it
	shows(t, s, ">>> def f(n):\n...     if n > 5:\n...         return |")
	s.Keys("C-y")
	shows(t, s, ">>> def f(n):\n...     if n > 5:\n...         return 10\n... |")
	s.Keys("BSpace")
	s.Type("0")
	s.Keys("Delete", "Enter") // nothing is after the cursor
	s.Expect(`return 100\n>>>$`)
	s.Keys("Delete") // unlike Ctrl-D, it does not exit
	s.Type("f(6)")
	s.Keys("Enter")
	s.Expect(`^100\n>>>$`)
}

// Ctrl-R finds whole items, including those of earlier sessions, by a part of any line.
func TestSearch(t *testing.T) {
	state := t.TempDir()
	s := on(t, tmux.Options{}, "XDG_STATE_HOME="+state)
	s.Paste("def area(w, h):\n\n    inside = w * h\n    return inside\n")
	s.Expect(`^>>>$`)
	s.Type("area(2, 3)")
	s.Keys("Enter")
	s.Expect(`^6$`)
	s.Keys("C-d")
	if code := s.Exit(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	s = on(t, tmux.Options{}, "XDG_STATE_HOME="+state)
	s.Type("1 + 1")
	s.Keys("Enter")
	s.Expect(`^2$`)
	s.Type("half")
	s.Keys("C-r")
	s.Type("insi")
	shows(t, s, ">>> def area(w, h):\n...\n...     |inside = w * h\n...     return inside\nsearch: insi")
	s.Type("x")
	s.Expect(`^no item contains: insix$`)
	s.Keys("BSpace", "C-g")
	shows(t, s, ">>> half|")
	s.Keys("C-u", "C-r")
	s.Type("area")
	s.Expect(`^>>> area\(2, 3\)\nsearch: area$`)
	s.Keys("C-r")
	s.Expect(`^>>> def area\(w, h\):\n`)
	s.Keys("C-s")
	s.Expect(`^>>> area\(2, 3\)\nsearch: area$`)
	s.Keys("C-r", "Enter")
	s.Expect(`return inside\n>>>$`)
	s.Type("area(4, 5)")
	s.Keys("Enter")
	s.Expect(`^20\n>>>$`)
}

// Tab lists the candidates below the line, in as many columns as fit; a second Tab shows the
// signature of the call.
func TestTabLists(t *testing.T) {
	dir := t.TempDir()
	s := on(t, tmux.Options{Cols: 40, Rows: 16, Dir: dir})
	s.Type("run(")
	s.Keys("Tab")
	shows(t, s, ">>> run(seconds=|")
	s.Keys("Tab", "Tab")
	shows(t, s, ">>> run(seconds=|\nrun(seconds=None)\nwait until the time is up, Ctrl-C, stop\n(), or the end of a process from spawn(\n)")
	s.Type("1 +")
	shows(t, s, ">>> run(seconds=1 +|")
	s.Keys("C-c")
	s.Expect(`^>>>$`)
	s.Type(`probe("software:`)
	s.Keys("Tab")
	s.Expect(`(?s)^>>> probe\("software:\n.*cpu-clock.*page-faults`)
	s.Type("page-f")
	s.Keys("Tab")
	shows(t, s, `>>> probe("software:page-faults|`)
	s.Keys("C-c")
	s.Expect(`^>>>$`)
	s.Type("%sa")
	s.Keys("Tab")
	s.Type(" mine.star")
	s.Keys("Enter")
	s.Expect("nothing to save yet$")
	s.Type("1")
	s.Keys("Enter")
	s.Expect(`^1$`)
	s.Type("%save mine.star")
	s.Keys("Enter")
	s.Expect("1 item in mine.star")
	s.Type("%run mi")
	s.Keys("Tab")
	s.Expect(`^>>> %run mine.star$`)
	s.Keys("Enter")
	s.Expect(`(?s)mine.star\n1\n>>>$`)
}

// Ctrl-Z returns the terminal to the shell, and fg restores the line. Ctrl-L clears the rest of the
// screen.
func TestSuspend(t *testing.T) {
	s := tmux.Start(t, tmux.Options{Cols: 80, Rows: 20, Env: []string{"XDG_STATE_HOME=" + t.TempDir(), "PS1=sh: "}}, "sh", "-i")
	s.Expect(`^sh:$`)
	s.Type(binary(t))
	s.Keys("Enter")
	s.Expect(`^>>>$`)
	s.Type("x = 1 + 2")
	s.Keys("Left", "C-z")
	s.Expect(`^sh:$`)
	s.Type("stty -a | grep -o -e '-*icanon'")
	s.Keys("Enter")
	s.Expect(`^icanon\n`)
	s.Type("fg")
	s.Keys("Enter")
	shows(t, s, ">>> x = 1 + |2")
	s.Type("4")
	s.Keys("C-l")
	s.Expect(`\A>>> x = 1 \+ 42$`)
	s.Keys("Enter")
	s.Expect(`^>>>$`)
	s.Type("x")
	s.Keys("Enter")
	s.Expect(`^43\n>>>$`)
	s.Keys("C-d")
	s.Expect(`^sh:$`)
}

// Output printed while an item of several rows is being typed appears above the item, which stays
// unchanged with the cursor in its middle.
func TestPrintsAbove(t *testing.T) {
	s := on(t, tmux.Options{Cols: 40, Rows: 20})
	for _, item := range []string{
		"t = table(max_keys=1)",
		`def tick(e):
    printf("half ")
    print("and half", e.cpu - e.cpu)
    t[now()] = 1
`,
	} {
		s.Paste(item)
		s.Keys("Enter")
		s.Expect(`^>>>$`)
	}
	s.Type(`p = probe("interval:ms:200", tick)`)
	s.Keys("Enter")
	s.Expect(`^half and half 0\n`)
	s.Wait("a warning", s.Text, regexp.MustCompile(`(?m)^WARNING: .*t is full`).MatchString)
	s.Type("if 1 + 1 == 2:")
	s.Keys("Enter")
	s.Type(`x = "` + strings.Repeat("0123456789", 3) + `"`)
	s.Keys("Left", "Left", "Left")
	item := ">>> if 1 + 1 == 2:\n...     x = \"012345678901234567890123456\n7|89\""
	for range 3 {
		seen := strings.Count(s.Text(), "half and half 0")
		s.Wait("another print", s.Text, func(text string) bool { return strings.Count(text, "half and half 0") > seen })
		shows(t, s, "half and half 0\n"+item)
	}
	s.Keys("End", "Enter", "Enter")
	s.Type("p.detach(), len(x)")
	s.Keys("Enter")
	s.Expect(`^\(None, 30\)$`)
	for _, row := range strings.Split(s.Text(), "\n") {
		if strings.Contains(row, "half") && row != "half and half 0" && !strings.Contains(row, "printf") && !strings.Contains(row, "print(") {
			t.Errorf("a row is %q", row)
		}
	}
}

// Of an item that is taller than the terminal, the rows around the cursor are shown.
func TestTallItem(t *testing.T) {
	s := on(t, tmux.Options{Cols: 40, Rows: 10})
	var b strings.Builder
	for i := range 30 {
		fmt.Fprintf(&b, "\n    a%d = n + %d", i, i)
	}
	s.Paste("def f(n):" + b.String() + "\n    return a15")
	rows := func(from, to int, cursor string) string {
		var out []string
		for i := from; i <= to; i++ {
			out = append(out, fmt.Sprintf("...     a%d = n + %d", i, i))
		}
		return strings.Replace(strings.Join(out, "\n"), cursor, cursor+"|", 1)
	}
	shows(t, s, rows(21, 29, "none")+"\n...     return a15|")
	for range 15 {
		s.Keys("Up")
	}
	shows(t, s, rows(10, 19, "a15 = n + "))
	s.Keys("End")
	s.Type("0")
	s.Resize(40, 6)
	s.Expect(`^\.\.\.     a15 = n \+ 150$`)
	s.Resize(40, 12)
	s.Keys("Enter")
	s.Expect(`^\.\.\.     return a15\n>>>$`)
	s.Type("f(1)")
	s.Keys("Enter")
	s.Expect(`^151\n>>>$`)
}
