package main

import (
	"testing"
	"time"
)

// POSIX rules are accepted as time zones. A value that is not a time zone causes a warning.
func TestPosixZone(t *testing.T) {
	for _, c := range []struct{ rule, winter, summer string }{
		{"CET-1CEST,M3.5.0,M10.5.0/3", "2026-01-15T13:00:00+01:00", "2026-07-15T14:00:00+02:00"},
		{"EST5EDT,M3.2.0,M11.1.0", "2026-01-15T07:00:00-05:00", "2026-07-15T08:00:00-04:00"},
		{"<+0330>-3:30", "2026-01-15T15:30:00+03:30", "2026-07-15T15:30:00+03:30"},
		{"JST-9", "2026-01-15T21:00:00+09:00", "2026-07-15T21:00:00+09:00"},
	} {
		loc, ok := posixZone(c.rule)
		if !ok {
			t.Errorf("%s is not known", c.rule)
			continue
		}
		for month, want := range map[time.Month]string{time.January: c.winter, time.July: c.summer} {
			if got := time.Date(2026, month, 15, 12, 0, 0, 0, time.UTC).In(loc).Format(time.RFC3339); got != want {
				t.Errorf("%s: got %s, want %s", c.rule, got, want)
			}
		}
	}
	for _, rule := range []string{"Nowhere/Nothing", "x", "CET+99999"} {
		if _, ok := posixZone(rule); ok {
			t.Errorf("%q is taken", rule)
		}
	}
	local := time.Local
	defer func() { time.Local = local }()
	for tz, want := range map[string]string{"CET-1CEST,M3.5.0,M10.5.0/3": "", "UTC": "", "": "", "Nowhere/Nothing": `TZ="Nowhere/Nothing" is not a time zone: times are shown in UTC`} {
		t.Setenv("TZ", tz)
		if got := setTimeZone(); got != want {
			t.Errorf("TZ=%q: %q, want %q", tz, got, want)
		}
	}
}
