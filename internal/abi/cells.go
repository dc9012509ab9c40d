package abi

// Error cells are a per-CPU array with an element for each site of a program and each errno. The
// program adds to the cell; the host reads all of them and merges the CPUs.

// CellsPerSite is the number of cells of a site: one for each value of an errno's low six bits,
// which are unique among the errnos that helpers return (ETIMEDOUT, 110, is the only one at 46).
const CellsPerSite = 64

// The layout of a cell: a count of errors, and the times of the first and the last one in
// nanoseconds since boot. A cell with a count of 0 is empty.
const (
	CellCount = 0
	CellFirst = 8
	CellLast  = 16
	CellSize  = 24
)

// CellIndex returns the index of the cell for an errno at a site.
func CellIndex(site, errno int) int { return site*CellsPerSite + errno&(CellsPerSite-1) }

// CellOf is the inverse of CellIndex. It returns the low six bits of the errno.
func CellOf(index int) (site, errno int) { return index / CellsPerSite, index % CellsPerSite }
