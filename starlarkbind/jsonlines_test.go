package starlarkbind

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
)

// checkJSONLine checks a line of output against the table.
func checkJSONLine(line string) error {
	if !utf8.ValidString(line) {
		return fmt.Errorf("not UTF-8: %q", line)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line), &members); err != nil {
		return fmt.Errorf("%w: %s", err, line)
	}
	var typ string
	if err := json.Unmarshal(members["type"], &typ); err != nil {
		return fmt.Errorf("type: %w: %s", err, line)
	}
	row := terminal.JSONLineOf(typ)
	if row == nil {
		return fmt.Errorf("no row for the type %q: %s", typ, line)
	}
	if !strings.HasPrefix(line, `{"type":`) {
		return fmt.Errorf("the type is not the first member: %s", line)
	}
	delete(members, "type")
	at := 0
	for _, f := range row.Fields {
		v, ok := members[f.Name]
		delete(members, f.Name)
		if !ok && !f.Optional {
			return fmt.Errorf("%s: no member %s: %s", typ, f.Name, line)
		}
		if !ok {
			continue
		}
		if i := strings.Index(line, fmt.Sprintf(`,"%s":`, f.Name)); i < 0 || i < at && f.Form != terminal.JSONValue {
			return fmt.Errorf("%s: %s is not in the order of the table: %s", typ, f.Name, line)
		} else {
			at = i
		}
		if err := checkForm(f.Form, v); err != nil {
			return fmt.Errorf("%s: %s: %w: %s", typ, f.Name, err, line)
		}
	}
	for name := range members {
		return fmt.Errorf("%s: no row for the member %s: %s", typ, name, line)
	}
	return nil
}

// check returns an error if a member's value does not match its form.
func checkForm(f terminal.JSONForm, raw json.RawMessage) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return err
	}
	ok := false
	switch f {
	case terminal.JSONText:
		_, ok = v.(string)
		ok = ok || isBase64(v)
	case terminal.JSONInt:
		n, isNumber := v.(json.Number)
		ok = isNumber && !strings.ContainsAny(string(n), ".eE")
	case terminal.JSONBool:
		_, ok = v.(bool)
	case terminal.JSONValue:
		ok = true
	case terminal.JSONValues:
		_, ok = v.([]any)
	case terminal.JSONEntries:
		list, isList := v.([]any)
		ok = isList
		for _, e := range list {
			m, isObject := e.(map[string]any)
			_, isKey := m["key"].([]any)
			_, hasValue := m["value"]
			ok = ok && isObject && isKey && hasValue && len(m) == 2
		}
	case terminal.JSONHist:
		m, _ := v.(map[string]any)
		_, ok = m["buckets"].([]any)
		ok = ok && len(m) == 5
	default:
		return fmt.Errorf("no such form %q", f)
	}
	if !ok {
		return fmt.Errorf("%s is no %s", raw, f)
	}
	return nil
}

func isBase64(v any) bool {
	m, _ := v.(map[string]any)
	s, ok := m["base64"].(string)
	_, err := base64.StdEncoding.DecodeString(s)
	return ok && err == nil && len(m) == 1
}

func checkJSONOutput(t *testing.T, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if err := checkJSONLine(strings.TrimSuffix(line, "\n")); err != nil {
			t.Error(err)
		}
	}
}

// The validator rejects what is not in the table.
func TestCheckJSONLine(t *testing.T) {
	for _, bad := range []string{`{"type":"none"}`, `{"type":"value"}`, `{"type":"value","value":1,"more":2}`, `{"type":"print","values":[],"text":"x"}`, `{"type":"print","text":1,"values":[]}`,
		`{"type":"count","name":"c","entries":[{"key":1,"value":2}]}`, `{"type":"missed","probe":"p","count":1.5}`, `{"value":1,"type":"value"}`, `x`, "{\"type\":\"print\",\"text\":\"\xff\",\"values\":[]}"} {
		if checkJSONLine(bad) == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}

// The exact text of each kind of line. Maps have one shape whatever their keys, handler and script
// print the same types, a handler's lines name the probe that fired, and values without a JSON form
// are not lost.
func TestJSONLines(t *testing.T) {
	l := newLive(t, func(o *Options) { o.JSON = true })
	err := l.script(`
c, one, pair, h, st, tab, empty = count(), count(), sum(), hist(), stats(), table(), count()
def seen(e):
    c.add(by=e.comm)
    one.add()
    pair.add(5, by=(e.comm, 7))
    h.add(3)
    st.add(4, by=b"\xff\x00")
    tab[1] = e.comm
    print(e.comm)
    print(9)
    print(e.comm, 9, None)
    printf("%s|%d\n", e.comm, 9)
probe(["tracepoint:syscalls:sys_enter_getppid", "tracepoint:syscalls:sys_enter_lseek"], seen, filter=lambda e: e.comm == "load", name="both")
make("getppid", 1)
make("newkeys", 1, 1)
run(0.01)
print(c); print(one); print(pair); print(h); print(st); print(tab); print(empty)
print("text"); print(9); print("text", 9, None); printf("%s|%d\n", "text", 9)
print(c.snapshot()); print({1: "a", (2, "b"): {"x": 1}}); print(h.value); print([1, b"\xff", 1.5, struct(a=1)])
print(float("nan")); print([float("inf"), -float("inf")]); print(1 << 70)
half = "é"[:1]; print(half); print([half]); print({half: 1}); print(len); printf(half + "%s\n", half)
plot([1, 2], title="up")
`)
	if err != nil {
		t.Fatal(l.FormatError(err))
	}
	want := `{"type":"print","probe":"tracepoint:syscalls:sys_enter_getppid","text":"load"}
{"type":"value","probe":"tracepoint:syscalls:sys_enter_getppid","value":9}
{"type":"print","probe":"tracepoint:syscalls:sys_enter_getppid","text":"load 9 None","values":["load",9,null]}
{"type":"printf","probe":"tracepoint:syscalls:sys_enter_getppid","text":"load|9\n","values":["load",9]}
{"type":"print","probe":"tracepoint:syscalls:sys_enter_lseek","text":"load"}
{"type":"value","probe":"tracepoint:syscalls:sys_enter_lseek","value":9}
{"type":"print","probe":"tracepoint:syscalls:sys_enter_lseek","text":"load 9 None","values":["load",9,null]}
{"type":"printf","probe":"tracepoint:syscalls:sys_enter_lseek","text":"load|9\n","values":["load",9]}
{"type":"count","name":"c","entries":[{"key":["load"],"value":2}]}
{"type":"count","name":"one","entries":[{"key":[],"value":2}]}
{"type":"sum","name":"pair","entries":[{"key":["load",7],"value":10}]}
{"type":"hist","name":"h","entries":[{"key":[],"value":{"count":2,"sum":6,"min":3,"max":3,"buckets":[{"lo":2,"hi":4,"n":2}]}}]}
{"type":"stats","name":"st","entries":[{"key":[{"base64":"/wA="}],"value":{"count":2,"sum":8,"avg":4,"min":4,"max":4}}]}
{"type":"table","name":"tab","entries":[{"key":[1],"value":"load"}]}
{"type":"count","name":"empty","entries":[]}
{"type":"print","text":"text"}
{"type":"value","value":9}
{"type":"print","text":"text 9 None","values":["text",9,null]}
{"type":"printf","text":"text|9\n","values":["text",9]}
{"type":"dict","entries":[{"key":["load"],"value":2}]}
{"type":"dict","entries":[{"key":[1],"value":"a"},{"key":[2,"b"],"value":{"entries":[{"key":["x"],"value":1}]}}]}
{"type":"histogram","value":{"count":2,"sum":6,"min":3,"max":3,"buckets":[{"lo":2,"hi":4,"n":2}]}}
{"type":"value","value":[1,{"base64":"/w=="},1.5,{"a":1}]}
{"type":"value","value":"NaN"}
{"type":"value","value":["Infinity","-Infinity"]}
{"type":"value","value":1180591620717411303424}
{"type":"print","text":"\\xc3","values":[{"base64":"ww=="}]}
{"type":"value","value":[{"base64":"ww=="}]}
{"type":"dict","entries":[{"key":[{"base64":"ww=="}],"value":1}]}
{"type":"print","text":"<built-in function len>","values":["<built-in function len>"]}
{"type":"printf","text":{"base64":"w1x4YzMK"},"values":[{"base64":"ww=="}]}
{"type":"plot","kind":"series","title":"up","value":[1,2]}
`
	if got := l.out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A warning of the compiler has its second place in members of its own.
func TestJSONDiagnostic(t *testing.T) {
	l := newLive(t, func(o *Options) { o.JSON = true })
	if err := l.script(`t = table()
def h(e):
    n = t.get(e.pid, 0)
    t[e.pid] = n + 1
probe("tracepoint:syscalls:sys_enter_getppid", h)
`); err != nil {
		t.Fatal(l.FormatError(err))
	}
	want := `{"type":"diagnostic","severity":"warning","message":"t[e.pid] is read and stored in two steps: an update by another CPU in between is lost",` +
		`"hint":"write t.add(by=e.pid), which adds in one step","pos":"test.star:4:5","source":"t[e.pid] = n + 1","also_pos":"test.star:3:9","also_label":"read here","also_source":"n = t.get(e.pid, 0)"}` + "\n"
	if got := l.out.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// docs/json.md is generated from the table: UPDATE=1 go test ./starlarkbind -run TestJSONDoc.
func TestJSONDoc(t *testing.T) {
	const file = "../docs/json.md"
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	const begin, end = "<!-- lines -->\n", "<!-- end of lines -->\n"
	head, rest, ok := strings.Cut(string(old), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", file)
	}
	want := head + begin + jsonDoc() + end + tail
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(old) != want {
		t.Errorf("%s is not what the table says: UPDATE=1 go test ./starlarkbind -run TestJSONDoc", file)
	}
}

func jsonDoc() string {
	var b strings.Builder
	b.WriteString("| `type` | printed by | member | form | holds |\n|---|---|---|---|---|\n")
	for _, l := range terminal.JSONLines {
		typ, doc := "`"+l.Name+"`", l.Doc
		for _, f := range l.Fields {
			form := string(f.Form)
			if f.Optional {
				form += ", may be absent"
			}
			fmt.Fprintf(&b, "| %s | %s | `%s` | %s | %s |\n", typ, doc, f.Name, form, f.Doc)
			typ, doc = "", ""
		}
	}
	return b.String()
}
