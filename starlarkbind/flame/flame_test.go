package flame

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestSVG(t *testing.T) {
	got := string(SVG("cpu <1>", []Sample{{[]string{"main", "a\x1b<&\">"}, 3}, {[]string{"main", "b"}, 1}, {[]string{"main"}, 0}}))
	d := xml.NewDecoder(strings.NewReader(got))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, got)
		}
	}
	for _, want := range []string{"<title>all: 4 (100.00%)</title>", "<title>main: 4 (100.00%)</title>", "<title>b: 1 (25.00%)</title><rect x=\"900.0\" y=\"30\" width=\"299.5\"", "&lt;&amp;&#34;&gt;: 3 (75.00%)", "cpu &lt;1&gt;"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	if strings.Contains(got, "\x1b") {
		t.Error("a control character came through")
	}
}

func TestEmpty(t *testing.T) {
	if got := string(SVG("none", nil)); strings.Contains(got, "<g>") || !strings.HasSuffix(got, "</svg>\n") {
		t.Error(got)
	}
}
