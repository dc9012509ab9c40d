package starlarkbind

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfrepl/bpfrepl/compiler"
	"github.com/bpfrepl/bpfrepl/starlarkbind/helpererr"
)

// unforced has the reason why no test forces the error of a row, by its message.
var unforced = map[string]string{
	"{op}: the kernel could not walk the stack: {errno}; what was added counts under a stack without frames": "the kernel walks every stack of a running task",
	"{op}: the stack map was locked by the code that this handler interrupted" + helpererr.LostFrames:        "no probe fires while a bucket of the stack map is locked",
	"the key was removed from {map} between its insertion and the add":                                       "a race of a few instructions",
	"other CPUs kept creating and removing the key of {map} while it was being stored":                       "a race that is lost several times in a row",
	"another CPU held a lock of {map} for too long":                                                          "the kernel waits a quarter of a second for the lock",
	"{map}: other runs on this CPU kept changing the extreme":                                                "a race that is lost several times in a row",
	"{helper} failed: {errno}": "for helpers and errors that have no row",
}

var placeholder = regexp.MustCompile(`\\\{[a-z]+\\\}`)

// Each error that helpererr.Rows explains is forced in a live test, which expects its text, or
// there is a reason why it is not.
func TestErrorRows(t *testing.T) {
	var all strings.Builder
	for _, pattern := range []string{"*_test.go", "testdata/live/*.txtar"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if name == "explain_test.go" {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(text)
		}
	}
	used := map[string]bool{}
	for _, r := range helpererr.Rows {
		used[r.Message] = true
		want := regexp.MustCompile(placeholder.ReplaceAllString(regexp.QuoteMeta(r.Message), `[^\n]{1,60}`))
		forced := false
		for _, m := range want.FindAllString(all.String(), -1) {
			// {op} matches the words of the rows for str and buf too
			forced = forced || !strings.HasPrefix(r.Message, "{op} could") || !strings.Contains(m, "memory could") && !strings.Contains(m, "the bytes could")
		}
		switch {
		case !forced && unforced[r.Message] == "":
			t.Errorf("no test forces %s %v: %s", r.Helper, r.Errno, r.Message)
		case forced && unforced[r.Message] != "":
			t.Errorf("a test forces %s %v, and unforced says why none does: %s", r.Helper, r.Errno, r.Message)
		}
	}
	for m := range unforced {
		if !used[m] {
			t.Errorf("unforced has a message that no row has: %s", m)
		}
	}
}

// Each row applies to some site, and none is hidden by an earlier one.
func TestErrorRowsApply(t *testing.T) {
	for i, r := range helpererr.Rows {
		site := compiler.Site{Helper: strings.TrimSuffix(r.Helper, "*"), Op: r.Op, Map: &compiler.Map{Name: "m"}}
		if strings.HasSuffix(r.Helper, "*") {
			site.Helper += "_x"
		}
		switch r.Kind {
		case helpererr.QuietSite:
			site.Quiet = true
		case helpererr.StackSite:
			site.Map = nil
		case helpererr.StreamSite:
			site.Stream = &compiler.Stream{Name: "m"}
		}
		if site.Op == "" {
			site.Op = "OP"
		}
		errno := r.Errno
		if errno == 0 {
			errno = unix.EPROTO
		}
		message, hint := helpererr.Explain(site, errno, "m", 4)
		fill := strings.NewReplacer("{map}", "m", "{size}", "4", "{larger}", "8", "{op}", site.Op, "{helper}", site.Helper, "{errno}", errno.Error())
		if want := fill.Replace(r.Message) + " | " + fill.Replace(r.Hint); message+" | "+hint != want {
			t.Errorf("row %d: got %q, want %q", i, message+" | "+hint, want)
		}
		if strings.ContainsAny(message+hint, "{}") {
			t.Errorf("row %d has a placeholder that is not filled: %s | %s", i, message, hint)
		}
	}
}

// EDEADLK is what EBUSY was before Linux 6.15.
func TestErrorDeadlock(t *testing.T) {
	site := compiler.Site{Helper: "map_update_elem", Map: &compiler.Map{Name: "m"}}
	old, _ := helpererr.Explain(site, unix.EBUSY, "m", 4)
	if got, _ := helpererr.Explain(site, unix.EDEADLK, "m", 4); got != old {
		t.Errorf("EDEADLK is %q, EBUSY is %q", got, old)
	}
}

// docs/errors.md is generated from helpererr.Rows:
// UPDATE=1 go test ./starlarkbind -run TestErrorsDoc.
func TestErrorsDoc(t *testing.T) {
	const file = "../docs/errors.md"
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- errors -->\n", "<!-- end of errors -->\n"
	head, rest, ok := strings.Cut(string(old), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", file)
	}
	want := head + begin + errorsDoc() + end + tail
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(old) != want {
		t.Errorf("%s is not what the table says: UPDATE=1 go test ./starlarkbind -run TestErrorsDoc", file)
	}
}

func errorsDoc() string {
	var b strings.Builder
	b.WriteString("| helper | errno | where | message | hint |\n|---|---|---|---|---|\n")
	names := strings.NewReplacer("{map}", "MAP", "{size}", "N", "{larger}", "2N", "{op}", "OPERATION", "{helper}", "HELPER", "{errno}", "REASON")
	for _, r := range helpererr.Rows {
		helper, errno, where := "the handler", "any", helpererr.KindTexts[min(int(r.Kind), len(helpererr.KindTexts)-1)]
		if r.Helper != "" {
			helper = code(r.Helper)
		}
		if r.Errno != 0 {
			errno = code(unix.ErrnoName(r.Errno))
		}
		if r.Op != "" {
			where = strings.TrimSpace(fmt.Sprintf("in %s %s", code(r.Op), where))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", helper, errno, where, names.Replace(r.Message), names.Replace(r.Hint))
	}
	return b.String()
}
