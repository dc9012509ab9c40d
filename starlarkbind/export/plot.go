package export

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/bpfrepl/bpfrepl/internal/cellwidth"
	"github.com/bpfrepl/bpfrepl/starlarkbind/hist"
	"github.com/bpfrepl/bpfrepl/starlarkbind/plot"
	"github.com/bpfrepl/bpfrepl/starlarkbind/render"
	"github.com/bpfrepl/bpfrepl/starlarkbind/runner"
	"github.com/bpfrepl/bpfrepl/starlarkbind/terminal"
)

// columnsElsewhere is the width of plots if the output is not a terminal.
const columnsElsewhere = 80

// Plot implements plot(x, title="").
func (e *Exporter) Plot(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kw []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	var title string
	if err := starlark.UnpackArgs("plot", args, kw, "x", &x, "title?", &title); err != nil {
		return nil, err
	}
	if n, ok := x.(interface{ Name() string }); ok && title == "" {
		title = n.Name()
	}
	paper := plot.Paper{Columns: columnsElsewhere, ASCII: e.ascii}
	if e.screen != nil {
		if cols, _ := e.screen(); cols > 0 {
			paper.Columns = cols
		}
	}
	plain := terminal.PlainValue(x)
	if e.run.Context().Err() != nil {
		return nil, runner.ErrInterrupted
	}
	// Copy the items before drawing, which may continue after an interrupt while the script changes
	// x.
	items, listed := pairs(e.run.Context(), plain)
	var kind string
	var plotErr error
	if e.run.Context().Err() != nil {
		return nil, runner.ErrInterrupted
	}
	text := e.run.UnlessInterrupted(len(items), func() (text string) {
		kind, text, plotErr = picture(plain, items, listed, paper)
		return text
	})
	if e.run.Context().Err() != nil {
		return nil, runner.ErrInterrupted
	}
	if plotErr != nil {
		return nil, plotErr
	}
	if e.out.JSON() {
		j, err := render.JSONValue(plain)
		if err != nil {
			return nil, err
		}
		e.out.Object("plot", map[string]any{"kind": kind, "title": title, "value": json.RawMessage(j)})
		return starlark.None, e.out.Failed()
	}
	if title != "" {
		text = render.Cell(starlark.String(title)) + ":\n" + text
	}
	e.out.Line(strings.TrimRight(text, "\n"))
	return starlark.None, e.out.Failed()
}

// picture draws a value. The kind of plot follows from the types of its items: see pairs.
func picture(v starlark.Value, items []starlark.Tuple, listed bool, p plot.Paper) (kind, text string, err error) {
	if h, ok := v.(*hist.Histogram); ok {
		return "histogram", h.Draw(p.Columns), nil
	}
	if !listed {
		return "", "", fmt.Errorf("plot: want a histogram, numbers, or a dict or list of them, got %s", v.Type())
	}
	if len(items) == 0 {
		return "empty", "(empty)", nil
	}
	placed := allAre(items, 0, isNumber)
	switch {
	case allAre(items, 1, isHistogram) && placed:
		text, err = heatOf(items, p)
		return "heatmap", text, err
	case allAre(items, 1, isHistogram):
		return "histograms", histograms(items, p), nil
	case allAre(items, 1, isNumberOrNone) && placed:
		return "series", linesOf([]plot.Series{seriesOf("", items)}, p), nil
	case allAre(items, 1, isNumber):
		_, sorted := v.(starlark.IterableMapping)
		return "bars", bars(items, p, sorted), nil
	case allAre(items, 1, isSeries):
		var series []plot.Series
		for _, it := range items {
			points, _ := pairs(context.Background(), it[1])
			series = append(series, seriesOf(render.Cell(it[0]), points))
		}
		return "series", linesOf(series, p), nil
	}
	return "", "", fmt.Errorf("plot: want a histogram, numbers, or a dict or list of them, got a %s with %s in it", v.Type(), strange(items))
}

// pairs returns the items of a value as (key, value) pairs, and reports whether it has items. For a
// list of pairs, the first of each pair is the key. For any other list, the index is. If ctx ends,
// pairs returns the items read so far.
func pairs(ctx context.Context, v starlark.Value) ([]starlark.Tuple, bool) {
	switch v := v.(type) {
	case *starlark.Dict:
		flat := make([]starlark.Value, 0, 2*v.Len()) // one allocation instead of one per pair
		for k, e := range v.Entries() {
			if runner.Interrupted(ctx, len(flat)/2) != nil {
				break
			}
			flat = append(flat, k, e)
		}
		out := make([]starlark.Tuple, len(flat)/2)
		for i := range out {
			out[i] = flat[2*i : 2*i+2 : 2*i+2]
		}
		return out, true
	case starlark.IterableMapping:
		return v.Items(), true
	case starlark.Indexable:
		if _, ok := v.(starlark.String); ok {
			return nil, false
		}
		out := make([]starlark.Tuple, v.Len())
		paired := true
		for i := range out {
			t, ok := v.Index(i).(starlark.Tuple)
			paired = paired && ok && len(t) == 2
			out[i] = t
		}
		for i := range out {
			if !paired {
				out[i] = starlark.Tuple{starlark.MakeInt(i), v.Index(i)}
			}
		}
		return out, true
	}
	return nil, false
}

func allAre(items []starlark.Tuple, i int, is func(starlark.Value) bool) bool {
	for _, it := range items {
		if !is(it[i]) {
			return false
		}
	}
	return true
}

// isNumber reports whether v is a number that can be drawn, which excludes NaN and infinity.
func isNumber(v starlark.Value) bool {
	f, ok := starlark.AsFloat(v)
	return ok && math.Abs(f) < math.MaxFloat64/4
}

func isNumberOrNone(v starlark.Value) bool { return v == starlark.None || isNumber(v) }

func isHistogram(v starlark.Value) bool { _, ok := v.(*hist.Histogram); return ok }

func isSeries(v starlark.Value) bool {
	items, ok := pairs(context.Background(), v)
	return ok && allAre(items, 0, isNumber) && allAre(items, 1, isNumberOrNone)
}

// strange names the kind of value that cannot be drawn with the others.
func strange(items []starlark.Tuple) string {
	for _, it := range items {
		switch v := it[1].(type) {
		case starlark.Float:
			if !isNumber(v) {
				return v.String()
			}
		default:
			if !isNumber(v) && !isHistogram(v) && !isSeries(v) {
				return v.Type()
			}
		}
	}
	return items[0][1].Type() + " and other things"
}

// seriesOf returns the items as points of a series, without those whose value is None.
func seriesOf(name string, items []starlark.Tuple) plot.Series {
	s := plot.Series{Name: name}
	for _, it := range items {
		if it[1] != starlark.None {
			x, _ := starlark.AsFloat(it[0])
			y, _ := starlark.AsFloat(it[1])
			s.Points = append(s.Points, plot.Point{X: x, Y: y})
		}
	}
	return s
}

func linesOf(series []plot.Series, p plot.Paper) string {
	for _, s := range series {
		if len(s.Points) > 0 {
			return plot.Lines(p, series)
		}
	}
	return "(empty)"
}

// heatRows is the maximum number of rows in a heat map. If there are more buckets, neighbours share
// a row.
const heatRows = 20

// heatOf draws histograms over time as a heat map.
func heatOf(items []starlark.Tuple, p plot.Paper) (string, error) {
	var sum starlark.Value = items[0][1]
	for _, it := range items[1:] {
		var err error
		if sum, err = starlark.Binary(syntax.PLUS, sum, it[1]); err != nil {
			return "", errors.New("plot: the histograms have different buckets")
		}
	}
	rows := sum.(*hist.Histogram).Rows()
	if len(rows) == 0 {
		return "(empty)", nil
	}
	share := (len(rows) + heatRows - 1) / heatRows
	var h plot.Heat
	place := map[string]int{} // row of a bucket, by its lower end
	for i := 0; i < len(rows); i += share {
		last := min(i+share, len(rows)) - 1
		for _, r := range rows[i : last+1] {
			place[r.Lo.String()] = len(h.Rows)
		}
		h.Rows = append(h.Rows, hist.Row{Lo: rows[i].Lo, Hi: rows[last].Hi}.Label())
	}
	for _, it := range items {
		x, _ := starlark.AsFloat(it[0])
		counts := make([]uint64, len(h.Rows))
		for _, r := range it[1].(*hist.Histogram).Rows() {
			counts[place[r.Lo.String()]] += r.N
		}
		h.X, h.Count = append(h.X, x), append(h.Count, counts)
	}
	return h.Draw(p), nil
}

func histograms(items []starlark.Tuple, p plot.Paper) string {
	var parts []string
	for _, it := range items {
		parts = append(parts, render.Cell(it[0])+":\n"+it[1].(*hist.Histogram).Draw(p.Columns))
	}
	return strings.Join(parts, "\n")
}

// mostBars is the maximum number of bars for a dict, which are the longest.
const mostBars = 20

// bars draws a bar for each item. If sorted is true, the longest come first, and only the mostBars
// longest are drawn.
func bars(items []starlark.Tuple, p plot.Paper, sorted bool) string {
	length := func(it starlark.Tuple) float64 {
		n, _ := starlark.AsFloat(it[1])
		return n
	}
	more := ""
	if sorted {
		sort.SliceStable(items, func(i, j int) bool {
			if a, b := length(items[i]), length(items[j]); a != b {
				return a > b
			}
			return render.CompareValues(items[i][0], items[j][0]) < 0
		})
		if n := len(items) - mostBars; n > 0 {
			items, more = items[:mostBars], fmt.Sprintf("\n... %d more", n)
		}
	}
	most, wide, digits := 0.0, 0, 0
	rows := make([][]string, len(items))
	for i, it := range items {
		rows[i] = []string{render.Cell(it[0]), render.Cell(it[1])}
		most, wide, digits = max(most, length(it)), max(wide, cellwidth.Width(rows[i][0])), max(digits, cellwidth.Width(rows[i][1]))
	}
	width := hist.BarWidth(p.Columns - wide - digits - 4)
	for i, it := range items {
		rows[i] = append(rows[i], hist.Bar(length(it), most, width))
	}
	return render.Table(nil, rows) + more
}
