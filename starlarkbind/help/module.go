package help

import (
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// A Module is a name whose members are functions and constants, such as json.
type Module struct{ Name, Doc string }

// Modules lists the modules that have help. Their members are topics.
var Modules = []Module{
	{"assert", "what a test checks; in files that bpfrepl test runs"},
	{"json", "text in JSON, and values; to_json(x) also takes maps and histograms"},
	{"math", "functions of floats; ints are converted"},
	{"time", "points in time and durations; now() returns the kernel's time"},
}

// members are the topics of Starlark's own modules, and of its functions that have a topic.
var members = Topics{
	{"", "fail", "fail(*args)", "end the script, or the function that attempt() calls, with an error", `fail("no such process:", 42)`},

	{"json", "decode", "decode(x, default=None)", "the value that the string x describes: a dict, a list, a string, a number, True, False or None; if x is not valid, the default, and without a default an error", `json.decode('{"pid": 42}')["pid"]`},
	{"json", "encode", "encode(x)", "x as JSON, on one line; the keys of dicts must be strings", `json.encode({"pid": 42})`},
	{"json", "encode_indent", `encode_indent(x, prefix="", indent="\t")`, "x as JSON with line breaks", `json.encode_indent({"pid": 42})`},
	{"json", "indent", `indent(str, prefix="", indent="\t")`, "the JSON in str, with line breaks", `json.indent(json.encode([1, 2]))`},

	{"math", "ceil", "ceil(x)", "the least int that is not below x", "math.ceil(1.2)"},
	{"math", "floor", "floor(x)", "the greatest int that is not above x", "math.floor(1.8)"},
	{"math", "round", "round(x)", "the nearest integer as a float; halves are rounded away from 0", "math.round(2.5)"},
	{"math", "fabs", "fabs(x)", "the absolute value, as a float", "math.fabs(-2)"},
	{"math", "mod", "mod(x, y)", "the remainder of x / y, with the sign of x", "math.mod(7.5, 2)"},
	{"math", "remainder", "remainder(x, y)", "the remainder of x / y, rounded to the nearest quotient (IEEE 754)", "math.remainder(7.5, 2)"},
	{"math", "copysign", "copysign(x, y)", "x with the sign of y", "math.copysign(3, -1)"},
	{"math", "pow", "pow(x, y)", "x to the power of y", "math.pow(2, 0.5)"},
	{"math", "sqrt", "sqrt(x)", "the square root", "math.sqrt(2)"},
	{"math", "hypot", "hypot(x, y)", "the square root of x*x + y*y", "math.hypot(3, 4)"},
	{"math", "exp", "exp(x)", "e to the power of x", "math.exp(1)"},
	{"math", "log", "log(x, base)", "the logarithm to a base; without base the natural one", "math.log(1024, 2)"},
	{"math", "gamma", "gamma(x)", "the gamma function", "math.gamma(5)"},
	{"math", "sin", "sin(x)", "the sine of an angle in radians", "math.sin(math.pi / 2)"},
	{"math", "cos", "cos(x)", "the cosine", "math.cos(0)"},
	{"math", "tan", "tan(x)", "the tangent", "math.tan(0.5)"},
	{"math", "asin", "asin(x)", "the inverse of the sine", "math.asin(1)"},
	{"math", "acos", "acos(x)", "the inverse of the cosine", "math.acos(1)"},
	{"math", "atan", "atan(x)", "the inverse of the tangent", "math.atan(1)"},
	{"math", "atan2", "atan2(y, x)", "the angle of the point (x, y)", "math.atan2(1, 1)"},
	{"math", "sinh", "sinh(x)", "the hyperbolic sine", "math.sinh(1)"},
	{"math", "cosh", "cosh(x)", "the hyperbolic cosine", "math.cosh(1)"},
	{"math", "tanh", "tanh(x)", "the hyperbolic tangent", "math.tanh(1)"},
	{"math", "asinh", "asinh(x)", "the inverse of the hyperbolic sine", "math.asinh(1)"},
	{"math", "acosh", "acosh(x)", "the inverse of the hyperbolic cosine", "math.acosh(1)"},
	{"math", "atanh", "atanh(x)", "the inverse of the hyperbolic tangent", "math.atanh(0.5)"},
	{"math", "degrees", "degrees(x)", "an angle in radians, in degrees", "math.degrees(math.pi)"},
	{"math", "radians", "radians(x)", "an angle in degrees, in radians", "math.radians(180)"},
	{"math", "pi", "pi", "the ratio of a circle's circumference to its diameter", "math.pi"},
	{"math", "e", "e", "the base of natural logarithms", "math.e"},

	{"time", "now", "now()", "the current time; it has year, month, day, hour, minute, second, nanosecond, unix, unix_nano, format() and in_location()", `time.now().format("15:04:05")`},
	{"time", "time", `time(year=0, month=0, day=0, hour=0, minute=0, second=0, nanosecond=0, location="UTC")`, "a point in time", "time.time(year=2026, month=1, day=31)"},
	{"time", "from_timestamp", "from_timestamp(sec, nsec=0)", "the time so many seconds and nanoseconds after 1970", "time.from_timestamp(1700000000)"},
	{"time", "parse_time", `parse_time(x, format="2006-01-02T15:04:05Z07:00", location="UTC")`, "the time that a text describes, by a format as in Go's package time", `time.parse_time("2026-01-31T12:00:00Z").unix`},
	{"time", "parse_duration", "parse_duration(x)", "the duration that a text such as 1h30m or 250ms describes; it has hours, minutes, seconds, milliseconds, microseconds and nanoseconds", `time.parse_duration("1m30s").seconds`},
	{"time", "is_valid_timezone", "is_valid_timezone(name)", "whether the time zone is known", `time.is_valid_timezone("Europe/Berlin")`},
	{"time", "nanosecond", "nanosecond", "a duration", "25 * time.nanosecond"},
	{"time", "microsecond", "microsecond", "a duration", "25 * time.microsecond"},
	{"time", "millisecond", "millisecond", "a duration", "25 * time.millisecond"},
	{"time", "second", "second", "a duration", "time.now() + 25 * time.second"},
	{"time", "minute", "minute", "a duration", "25 * time.minute"},
	{"time", "hour", "hour", "a duration", "(time.now() - time.hour).unix"},
}

// Members returns the topics of Starlark's own modules, and of its functions that have a topic.
func Members() Topics { return members }

// ModuleName returns the name of a module's value, or "" if v is none.
func ModuleName(v starlark.Value) string {
	if m, ok := v.(*starlarkstruct.Module); ok {
		return m.Name
	}
	return ""
}

// onModule describes a module. It returns "" if there is none of that name.
func (h *Help) onModule(name string) string {
	i := slices.IndexFunc(Modules, func(m Module) bool { return m.Name == name })
	if i < 0 {
		return ""
	}
	text := name + ", a module\n" + prose(Modules[i].Doc) + "\n"
	for _, t := range h.Topics {
		if t.Of == name {
			text += indented(signature(method(t.Of, t.Sig)) + prose(t.Doc))
		}
	}
	return text
}
