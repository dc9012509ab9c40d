package starlarkbind

import (
	"encoding/json"
	"maps"
	"slices"

	"go.starlark.net/starlark"

	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
)

// With -f json, every line of output is one JSON object. The table jsonLines describes all of them.
// The printer takes the order of members from it, docs/json.md is generated from it, and tests
// check every line they see against it.

// A jsonLine describes one type of line.
type jsonLine struct {
	name, doc string
	fields    []jsonField
}

// A jsonField describes one member of a line.
type jsonField struct {
	name     string
	form     jsonForm
	optional bool
	doc      string
}

// A jsonForm is the form of a member's value.
type jsonForm string

const (
	jsonText    jsonForm = "text"    // a string, or {"base64": ...} if it is not UTF-8
	jsonInt     jsonForm = "int"     // an integer of any size
	jsonBool    jsonForm = "bool"    // true or false
	jsonValue   jsonForm = "value"   // any script value
	jsonValues  jsonForm = "values"  // a list of values
	jsonEntries jsonForm = "entries" // a list of {"key": [...], "value": ...}
	jsonHist    jsonForm = "histogram"
)

var (
	jsonProbe = jsonField{"probe", jsonText, true, "the probe that fired, where a handler printed; absent where the script did"}
	jsonMap   = []jsonField{{"name", jsonText, false, "the map's name"}, {"entries", jsonEntries, false, "its keys and values; a map without keys has one entry, whose key is `[]`"}}
)

var jsonLines = []jsonLine{
	{"print", "`print` of a string or of several values", []jsonField{jsonProbe, {"text", jsonText, false, "the line as a terminal shows it, without its newline"}, {"values", jsonValues, true, "what was printed; absent where it is the text itself"}}},
	{"printf", "`printf`", []jsonField{jsonProbe, {"text", jsonText, false, "the formatted text"}, {"values", jsonValues, true, "what was formatted; absent where it is the text itself"}}},
	{"value", "`print` of one value that has no line of its own below", []jsonField{jsonProbe, {"value", jsonValue, false, "the value"}}},
	{"dict", "`print` of a dict, a snapshot for example", []jsonField{{"entries", jsonEntries, false, "its keys and values"}}},
	{"histogram", "`print` of one histogram", []jsonField{{"value", jsonHist, false, "the histogram"}}},
	{"count", "`print` of a `count()`", jsonMap},
	{"sum", "`print` of a `sum()`", jsonMap},
	{"avg", "`print` of an `avg()`", jsonMap},
	{"min", "`print` of a `min()`", jsonMap},
	{"max", "`print` of a `max()`", jsonMap},
	{"stats", "`print` of a `stats()`", jsonMap},
	{"hist", "`print` of a `hist()`: the values are histograms", jsonMap},
	{"lhist", "`print` of an `lhist()`: the values are histograms", jsonMap},
	{"table", "`print` of a `table()`", jsonMap},
	{"plot", "`plot`", []jsonField{{"kind", jsonText, false, "what was drawn"}, {"title", jsonText, false, "its title, or an empty string"}, {"value", jsonValue, false, "what was drawn, as a value"}}},
	{"helper_error", "an update that failed in the kernel", []jsonField{{"helper", jsonText, false, "the BPF helper, or an empty string"}, {"code", jsonInt, false, "the error number"}, {"errno", jsonText, false, "its name"},
		{"message", jsonText, false, "the error message"}, {"hint", jsonText, false, "what to do, or an empty string"}, {"probe", jsonText, false, "the probe whose handler failed"}, {"pos", jsonText, false, "file, line and column"},
		{"source", jsonText, false, "the source line"}, {"map", jsonValue, false, "the name of the map, or null"}, {"count", jsonInt, false, "the number of times so far"},
		{"first", jsonInt, false, "the time of the first, in nanoseconds since boot"}, {"last", jsonInt, false, "the time of the last"}, {"total", jsonBool, false, "whether this is the total at the end of a run"}}},
	{"map_fill", "a map that is nearly full", []jsonField{{"map", jsonText, false, "its name"}, {"keys", jsonInt, false, "the keys that it has"}, {"max_keys", jsonInt, false, "the keys that fit"}, {"hint", jsonText, false, "what to do"}}},
	{"evicted", "keys that a `table(lru=True)` dropped", []jsonField{{"map", jsonText, false, "its name"}, {"count", jsonInt, false, "how many"}, {"max_keys", jsonInt, false, "the keys that fit"}}},
	{"missed", "events that the kernel did not run a handler for", []jsonField{{"probe", jsonText, false, "the probe"}, {"count", jsonInt, false, "how many"}}},
	{"left_out", "targets of a pattern that could not be traced", []jsonField{{"count", jsonInt, false, "how many"}, {"of", jsonInt, false, "how many targets the pattern matched"}, {"message", jsonText, false, "the reason for the first"}, {"targets", jsonValues, false, "which"}}},
	{"cpu", "a CPU that came online or went offline", []jsonField{{"probe", jsonText, false, "the target"}, {"cpu", jsonInt, true, "the CPU"}, {"message", jsonText, true, "why the probe may not be attached to it"}}},
	{"callback_ended", "a callback that was cancelled by Ctrl-C or the end of `run()`", []jsonField{{"callback", jsonText, false, "the function"}}},
	{"records_left", "stream records that the function of `each()` had not received when `run()` ended", []jsonField{{"stream", jsonText, false, "the stream"}, {"records", jsonInt, false, "how many"}, {"callback", jsonText, false, "the function"}}},
	{"feedback", "a handler that prints events caused by bpfrepl's own output", []jsonField{{"probe", jsonText, false, "the probe"}, {"message", jsonText, false, "the warning"}, {"hint", jsonText, false, "what to write"}}},
	{"totals_forgotten", "an aggregation whose totals lack keys that `delta()` returned", []jsonField{{"map", jsonText, false, "its name"}, {"keys", jsonInt, false, "the keys that the totals have"}, {"message", jsonText, false, "the warning"}, {"hint", jsonText, false, "what to do"}}},
	{"diagnostic", "an error or a warning of the compiler that does not end the script", []jsonField{{"severity", jsonText, false, "`error` or `warning`"}, {"message", jsonText, false, "what is wrong"}, {"hint", jsonText, false, "what to write instead, or an empty string"},
		{"pos", jsonText, false, "file, line and column"}, {"source", jsonText, false, "the source line"}, {"also_pos", jsonText, true, "a second place that the message refers to"}, {"also_label", jsonText, true, "what is there"}, {"also_source", jsonText, true, "the source line there"}}},
	{"warning", "any other warning", []jsonField{{"message", jsonText, false, "the warning"}}},
	{"error", "an error that does not end the script", []jsonField{{"message", jsonText, false, "the error"}}},
}

// jsonLineOf returns the row for a type of line, or nil.
func jsonLineOf(typ string) *jsonLine {
	for i := range jsonLines {
		if jsonLines[i].name == typ {
			return &jsonLines[i]
		}
	}
	return nil
}

// object prints a JSON object of the given type.
func (o *output) Object(typ string, fields map[string]any) { o.Print(encodeLine(typ, fields)) }

// encodeLine encodes a line. Field values of type json.RawMessage are already encoded. Members are
// written in the order of the table.
func encodeLine(typ string, fields map[string]any) string {
	names := slices.Sorted(maps.Keys(fields))
	if row := jsonLineOf(typ); row != nil {
		at := func(name string) int {
			return slices.IndexFunc(row.fields, func(f jsonField) bool { return f.name == name })
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

// printedLine returns the line for a print or printf. probe is the probe that fired, or "" if the
// script printed.
func printedLine(typ, probe, text string, values []starlark.Value) string {
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
		b, err := render.JSONValue(plainValue(v))
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
	plain := plainValue(v)
	d, isDict := plain.(*starlark.Dict)
	switch m := v.(type) {
	case *Aggregation, *Table:
		items := []starlark.Tuple{{starlark.Tuple{}, plain}}
		if isDict {
			items = d.Items()
		}
		b, err := render.JSONEntries(items)
		l, ok := line(m.Type(), "entries", b, err)
		l.fields["name"] = m.(interface{ Name() string }).Name()
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
