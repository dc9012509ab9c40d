// Package suggest finds the name that was probably meant, for "did you mean" hints.
package suggest

import (
	"slices"
	"strings"
)

// Nearest returns up to n of names that someone who wrote name may have meant, the most likely
// first. Case does not matter. A name is near if at most a third of its letters differ, but not all
// of them, or if one name contains the other and the shorter has at least four letters.
func Nearest(name string, names []string, n int) []string {
	type candidate struct {
		name string
		cost int
	}
	var near []candidate
	low := strings.ToLower(name)
	for _, c := range names {
		l := strings.ToLower(c)
		most := (max(len(name), len(c)) + 2) / 3
		if d := distance(low, l, most); d <= most && d < max(len(name), len(c)) {
			near = append(near, candidate{c, 2 * d})
		} else if len(low) >= 4 && strings.Contains(l, low) || len(l) >= 4 && strings.Contains(low, l) {
			near = append(near, candidate{c, 2*most + 1 + len(c)})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int {
		if a.cost != b.cost {
			return a.cost - b.cost
		}
		return strings.Compare(a.name, b.name)
	})
	var out []string
	for _, c := range near {
		if len(out) == n {
			break
		}
		if !slices.Contains(out, c.name) {
			out = append(out, c.name)
		}
	}
	return out
}

// distance returns the number of letters to insert, delete, replace, or swap with a neighbour to
// get from a to b. It returns limit+1 for any distance above limit.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	before, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		least := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
			least = min(least, row[j])
		}
		if least > limit+1 { // a swap reaches back two rows
			return limit + 1
		}
		before, prev, row = prev, row, before
	}
	return min(prev[len(b)], limit+1)
}
