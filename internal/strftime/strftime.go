// Package strftime formats times like the C function of that name, as far as tracing needs it.
package strftime

import (
	"fmt"
	"strings"
	"time"
)

// A verb is a conversion: a function that formats it, and the smallest unit of time that it shows.
type verb struct {
	write func(t time.Time) string
	unit  time.Duration
}

// zone is the unit of everything coarser than a minute, because the offsets of time zones are
// multiples of a quarter of an hour.
const zone = 15 * time.Minute

// verbs maps the letters of conversions to their implementations. %f, the microseconds, and %N, the
// nanoseconds, are extensions to C.
var verbs = map[byte]verb{
	'Y': layout("2006", zone), 'y': layout("06", zone), 'm': layout("01", zone), 'd': layout("02", zone), 'e': layout("_2", zone),
	'b': layout("Jan", zone), 'h': layout("Jan", zone), 'B': layout("January", zone), 'a': layout("Mon", zone), 'A': layout("Monday", zone), 'j': layout("002", zone),
	'H': layout("15", zone), 'I': layout("03", zone), 'p': layout("PM", zone), 'M': layout("04", time.Minute), 'S': layout("05", time.Second),
	'F': layout("2006-01-02", zone), 'D': layout("01/02/06", zone), 'T': layout("15:04:05", time.Second), 'R': layout("15:04", time.Minute),
	'z': layout("-0700", zone), 'Z': layout("MST", zone),
	's': {func(t time.Time) string { return fmt.Sprint(t.Unix()) }, time.Second},
	'f': {func(t time.Time) string { return fmt.Sprintf("%06d", t.Nanosecond()/1000) }, time.Microsecond},
	'N': {func(t time.Time) string { return fmt.Sprintf("%09d", t.Nanosecond()) }, 1},
	'n': {func(time.Time) string { return "\n" }, zone}, 't': {func(time.Time) string { return "\t" }, zone}, '%': {func(time.Time) string { return "%" }, zone},
}

func layout(l string, unit time.Duration) verb {
	return verb{func(t time.Time) string { return t.Format(l) }, unit}
}

// Check returns an error if format ends inside a conversion or has an unknown one.
func Check(format string) error {
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		i++
		if i == len(format) {
			return fmt.Errorf("the format ends in the middle of a conversion: %q", format)
		}
		if _, ok := verbs[format[i]]; !ok {
			return fmt.Errorf("strftime has no conversion %%%c", format[i])
		}
	}
	return nil
}

// Unit returns the smallest unit of time that format shows. Two times within the same unit look the
// same.
func Unit(format string) time.Duration {
	unit := zone
	for i := 0; i+1 < len(format); i++ {
		if format[i] == '%' {
			i++
			unit = min(unit, verbs[format[i]].unit)
		}
	}
	return unit
}

// Format formats a time. Check must have accepted the format.
func Format(format string, t time.Time) string {
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] == '%' && i+1 < len(format) {
			i++
			b.WriteString(verbs[format[i]].write(t))
			continue
		}
		b.WriteByte(format[i])
	}
	return b.String()
}
