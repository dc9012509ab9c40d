// Package suggest finds the names that were probably meant: "did you mean".
package suggest

import "sort"

// Nearest gives the candidates nearest to word, at most max of them, the nearest first. The distance is the number of
// letters inserted, removed, replaced or swapped with their neighbour; more than a third of the word's length is too far.
func Nearest(word string, candidates []string, max int) []string {
	limit := (len(word) + 2) / 3
	type near struct {
		name string
		d    int
	}
	var found []near
	for _, c := range candidates {
		if diff := len(c) - len(word); diff > limit || -diff > limit {
			continue
		}
		if d := distance(word, c); d <= limit {
			found = append(found, near{c, d})
		}
	}
	sort.SliceStable(found, func(i, j int) bool {
		if found[i].d != found[j].d {
			return found[i].d < found[j].d
		}
		return found[i].name < found[j].name
	})
	var out []string
	for i, f := range found {
		if i >= max {
			break
		}
		if i == 0 || f.name != found[i-1].name {
			out = append(out, f.name)
		}
	}
	return out
}

// distance is the optimal string alignment distance.
func distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
