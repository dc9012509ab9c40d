// Package plural writes numbers with what they count.
package plural

import "fmt"

// Of returns n with the noun what in its singular or, with an s, its plural: "1 run", "2 runs".
func Of[N int | int64 | uint32 | uint64](n N, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}
