package strftime

import (
	"testing"
	"time"
)

func TestFormat(t *testing.T) {
	at := time.Date(2026, 11, 5, 9, 7, 3, 123456789, time.UTC)
	for _, x := range []struct {
		format, want string
		unit         time.Duration
	}{
		{"%H:%M:%S", "09:07:03", time.Second}, {"%T.%f", "09:07:03.123456", time.Microsecond}, {"%N", "123456789", 1},
		{"%Y-%m-%d %R", "2026-11-05 09:07", time.Minute}, {"%F %I%p", "2026-11-05 09AM", 15 * time.Minute}, {"%s", "1793869623", time.Second},
		{"%a %d %b %e %j %y %D %z %Z", "Thu 05 Nov  5 309 26 11/05/26 +0000 UTC", 15 * time.Minute}, {"100%% sure%n%t", "100% sure\n\t", 15 * time.Minute},
	} {
		if err := Check(x.format); err != nil {
			t.Error(err)
		}
		if got := Format(x.format, at); got != x.want {
			t.Errorf("%s: got %q, want %q", x.format, got, x.want)
		}
		if got := Unit(x.format); got != x.unit {
			t.Errorf("%s: unit %v, want %v", x.format, got, x.unit)
		}
		if down := at.Truncate(x.unit); Format(x.format, down) != x.want {
			t.Errorf("%s: the start of its step looks different: %q", x.format, Format(x.format, down))
		}
	}
	for format, want := range map[string]string{"%H%": `the format ends in the middle of a conversion: "%H%"`, "%Q": "strftime has no conversion %Q"} {
		if err := Check(format); err == nil || err.Error() != want {
			t.Errorf("%s: %v", format, err)
		}
	}
}
