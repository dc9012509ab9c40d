package terminal

import (
	"encoding/json"
	"maps"
	"slices"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
)

// With -f json, every line of output is one JSON object. The table JSONLines describes all of them.
// The printer takes the order of members from it, docs/json.md is generated from it, and tests
// check every line they see against it.

// A JSONLine describes one type of line.
type JSONLine struct {
	Name, Doc string
	Fields    []JSONField
}

// A JSONField describes one member of a line.
type JSONField struct {
	Name     string
	Form     JSONForm
	Optional bool
	Doc      string
}

// A JSONForm is the form of a member's value.
type JSONForm string

const (
	JSONText    JSONForm = "text"    // a string, or {"base64": ...} if it is not UTF-8
	JSONInt     JSONForm = "int"     // an integer of any size
	JSONBool    JSONForm = "bool"    // true or false
	JSONValue   JSONForm = "value"   // any script value
	JSONValues  JSONForm = "values"  // a list of values
	JSONEntries JSONForm = "entries" // a list of {"key": [...], "value": ...}
	JSONHist    JSONForm = "histogram"
)

var (
	jsonProbe = JSONField{"probe", JSONText, true, "the probe that fired, where a handler printed; absent where the script did"}
	jsonMap   = []JSONField{{"name", JSONText, false, "the map's name"}, {"entries", JSONEntries, false, "its keys and values; a map without keys has one entry, whose key is `[]`"}}
)

var JSONLines = []JSONLine{
	{"print", "`print` of a string or of several values", []JSONField{jsonProbe, {"text", JSONText, false, "the line as a terminal shows it, without its newline"}, {"values", JSONValues, true, "what was printed; absent where it is the text itself"}}},
	{"printf", "`printf`", []JSONField{jsonProbe, {"text", JSONText, false, "the formatted text"}, {"values", JSONValues, true, "what was formatted; absent where it is the text itself"}}},
	{"value", "`print` of one value that has no line of its own below", []JSONField{jsonProbe, {"value", JSONValue, false, "the value"}}},
	{"dict", "`print` of a dict, a snapshot for example", []JSONField{{"entries", JSONEntries, false, "its keys and values"}}},
	{"histogram", "`print` of one histogram", []JSONField{{"value", JSONHist, false, "the histogram"}}},
	{"count", "`print` of a `count()`", jsonMap},
	{"sum", "`print` of a `sum()`", jsonMap},
	{"avg", "`print` of an `avg()`", jsonMap},
	{"min", "`print` of a `min()`", jsonMap},
	{"max", "`print` of a `max()`", jsonMap},
	{"stats", "`print` of a `stats()`", jsonMap},
	{"hist", "`print` of a `hist()`: the values are histograms", jsonMap},
	{"lhist", "`print` of an `lhist()`: the values are histograms", jsonMap},
	{"table", "`print` of a `table()`", jsonMap},
	{"plot", "`plot`", []JSONField{{"kind", JSONText, false, "what was drawn"}, {"title", JSONText, false, "its title, or an empty string"}, {"value", JSONValue, false, "what was drawn, as a value"}}},
	{"helper_error", "an update that failed in the kernel", []JSONField{{"helper", JSONText, false, "the BPF helper, or an empty string"}, {"code", JSONInt, false, "the error number"}, {"errno", JSONText, false, "its name"},
		{"message", JSONText, false, "the error message"}, {"hint", JSONText, false, "what to do, or an empty string"}, {"probe", JSONText, false, "the probe whose handler failed"}, {"pos", JSONText, false, "file, line and column"},
		{"source", JSONText, false, "the source line"}, {"map", JSONValue, false, "the name of the map, or null"}, {"count", JSONInt, false, "the number of times so far"},
		{"first", JSONInt, false, "the time of the first, in nanoseconds since boot"}, {"last", JSONInt, false, "the time of the last"}, {"total", JSONBool, false, "whether this is the total at the end of a run"}}},
	{"map_fill", "a map that is nearly full", []JSONField{{"map", JSONText, false, "its name"}, {"keys", JSONInt, false, "the keys that it has"}, {"max_keys", JSONInt, false, "the keys that fit"}, {"hint", JSONText, false, "what to do"}}},
	{"evicted", "keys that a `table(lru=True)` dropped", []JSONField{{"map", JSONText, false, "its name"}, {"count", JSONInt, false, "how many"}, {"max_keys", JSONInt, false, "the keys that fit"}}},
	{"missed", "events that the kernel did not run a handler for", []JSONField{{"probe", JSONText, false, "the probe"}, {"count", JSONInt, false, "how many"}}},
	{"left_out", "targets of a pattern that could not be traced", []JSONField{{"count", JSONInt, false, "how many"}, {"of", JSONInt, false, "how many targets the pattern matched"}, {"message", JSONText, false, "the reason for the first"}, {"targets", JSONValues, false, "which"}}},
	{"cpu", "a CPU that came online or went offline", []JSONField{{"probe", JSONText, false, "the target"}, {"cpu", JSONInt, true, "the CPU"}, {"message", JSONText, true, "why the probe may not be attached to it"}}},
	{"callback_ended", "a callback that was cancelled by Ctrl-C or the end of `run()`", []JSONField{{"callback", JSONText, false, "the function"}}},
	{"records_left", "stream records that the function of `each()` had not received at the end of the script", []JSONField{{"stream", JSONText, false, "the stream"}, {"records", JSONInt, false, "how many"}, {"callback", JSONText, false, "the function"}}},
	{"feedback", "a handler that prints events caused by bpfrepl's own output", []JSONField{{"probe", JSONText, false, "the probe"}, {"message", JSONText, false, "the warning"}, {"hint", JSONText, false, "what to write"}}},
	{"totals_forgotten", "an aggregation whose totals have no room for some keys: only `delta()` returned them", []JSONField{{"map", JSONText, false, "its name"}, {"keys", JSONInt, false, "the keys that the totals have"}, {"message", JSONText, false, "the warning"}, {"hint", JSONText, false, "what to do"}}},
	{"diagnostic", "a warning of the compiler", []JSONField{{"severity", JSONText, false, "`warning`; an error ends the script, and is text on standard error"}, {"message", JSONText, false, "what is wrong"}, {"hint", JSONText, false, "what to write instead, or an empty string"},
		{"pos", JSONText, false, "file, line and column"}, {"source", JSONText, false, "the source line"}, {"also_pos", JSONText, true, "a second place that the message refers to"}, {"also_label", JSONText, true, "what is there"}, {"also_source", JSONText, true, "the source line there"}}},
	{"test", "a test that `bpfrepl test` has run, or a file of tests that does not compile", []JSONField{{"file", JSONText, false, "the file"}, {"test", JSONText, false, "the test, or an empty string for a file"}, {"result", JSONText, false, "`pass`, `fail` or `skip`"},
		{"time_ns", JSONInt, false, "how long it ran, in nanoseconds"}, {"message", JSONText, false, "why it failed or was skipped, or an empty string"}, {"hint", JSONText, false, "what to write instead, or an empty string"},
		{"pos", JSONText, false, "file, line and column of the failure, or an empty string"}, {"source", JSONText, false, "the source line"}, {"output", JSONText, false, "what it printed"}}},
	{"tests", "the end of `bpfrepl test`", []JSONField{{"passed", JSONInt, false, "the number of tests that passed"}, {"failed", JSONInt, false, "the number that failed, and of files that do not compile"}, {"skipped", JSONInt, false, "the number that were skipped"},
		{"interrupted", JSONBool, false, "whether Ctrl-C ended the run"}, {"time_ns", JSONInt, false, "how long it took"}}},
	{"warning", "any other warning", []JSONField{{"message", JSONText, false, "the warning"}}},
	{"error", "an error that does not end the script", []JSONField{{"message", JSONText, false, "the error"}}},
}

// JSONLineOf returns the row for a type of line, or nil.
func JSONLineOf(typ string) *JSONLine {
	for i := range JSONLines {
		if JSONLines[i].Name == typ {
			return &JSONLines[i]
		}
	}
	return nil
}

// Object prints a JSON object of the given type.
func (o *Output) Object(typ string, fields map[string]any) { o.Print(encodeLine(typ, fields)) }

// encodeLine encodes a line. Field values of type json.RawMessage are already encoded. Members are
// written in the order of the table.
func encodeLine(typ string, fields map[string]any) string {
	names := slices.Sorted(maps.Keys(fields))
	if row := JSONLineOf(typ); row != nil {
		at := func(name string) int {
			return slices.IndexFunc(row.Fields, func(f JSONField) bool { return f.Name == name })
		}
		slices.SortStableFunc(names, func(a, b string) int { return at(a) - at(b) })
	}
	b := append([]byte(`{"type":`), render.JSONString(typ)...)
	for _, name := range names {
		var v []byte
		switch x := fields[name].(type) {
		case string:
			v = render.JSONString(x)
		case json.RawMessage:
			v = x
		default:
			var err error
			if v, err = json.Marshal(x); err != nil {
				v = render.JSONString(err.Error())
			}
		}
		b = append(append(append(append(b, ','), render.JSONString(name)...), ':'), v...)
	}
	return string(render.SafeJSON(append(b, '}'))) + "\n"
}

// PrintedLine returns the line for a print or printf. probe is the probe that fired, or "" if the
// script printed.
func PrintedLine(typ, probe, text string, values []starlark.Value) string {
	fields := map[string]any{}
	if probe != "" {
		fields["probe"] = probe
	}
	if typ == "print" && len(values) == 1 {
		if one, ok := single(values[0]); ok {
			maps.Copy(fields, one.fields)
			return encodeLine(one.typ, fields)
		}
	}
	fields["text"] = text
	if len(values) == 1 && values[0] == starlark.String(text) {
		return encodeLine(typ, fields)
	}
	list := []byte{'['}
	for i, v := range values {
		b, err := render.JSONValue(PlainValue(v))
		if err != nil { // a function, or a list that contains itself
			b = render.JSONString(v.String())
		}
		if i > 0 {
			list = append(list, ',')
		}
		list = append(list, b...)
	}
	fields["values"] = json.RawMessage(append(list, ']'))
	return encodeLine(typ, fields)
}

// aLine is the line for one value.
type aLine struct {
	typ    string
	fields map[string]any
}

// single returns the line for a value that is printed alone. It returns false for strings and for
// values that have no JSON form.
func single(v starlark.Value) (aLine, bool) {
	line := func(typ, member string, b []byte, err error) (aLine, bool) {
		return aLine{typ, map[string]any{member: json.RawMessage(b)}}, err == nil
	}
	plain := PlainValue(v)
	d, isDict := plain.(*starlark.Dict)
	switch m := v.(type) {
	case LiveMap:
		items := []starlark.Tuple{{starlark.Tuple{}, plain}}
		if isDict {
			items = d.Items()
		}
		b, err := render.JSONEntries(items)
		l, ok := line(m.Type(), "entries", b, err)
		l.fields["name"] = m.Name()
		return l, ok
	case starlark.String:
		return aLine{}, false
	case *starlark.Dict:
		b, err := render.JSONEntries(d.Items())
		return line("dict", "entries", b, err)
	case *hist.Histogram:
		b, err := render.JSONValue(m)
		return line("histogram", "value", b, err)
	}
	b, err := render.JSONValue(plain)
	return line("value", "value", b, err)
}
