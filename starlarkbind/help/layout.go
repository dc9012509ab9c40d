package help

import "strings"

// page is the number of columns that help uses: terminals have at least 80. Examples are not
// wrapped, so that they can be copied.
const page = 78

// prose returns text wrapped to the page and indented.
func prose(text string) string {
	var lines []string
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		lines = append(lines, wrapWords(strings.Fields(line), page-4))
	}
	return indented(strings.Join(lines, "\n"))
}

// signature returns a signature wrapped to the page, with a deeper indent from the second line on.
func signature(sig string) string {
	first, more, _ := strings.Cut(wrapWords(strings.Fields(sig), page-8), "\n")
	if more == "" {
		return first + "\n"
	}
	return first + "\n" + indented(indented(more))
}

func indented(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ") + "\n"
}

// wrapWords breaks words into lines of at most width columns.
func wrapWords(words []string, width int) string {
	var b strings.Builder
	col := 0
	for i, w := range words {
		if i > 0 && col+1+len(w) > width {
			b.WriteByte('\n')
			col = 0
		} else if i > 0 {
			b.WriteByte(' ')
			col++
		}
		b.WriteString(w)
		col += len(w)
	}
	return b.String()
}
