package codegen

// A pairSet is a set of pairs of virtual registers, the lower one first. It is a hash table with
// open addressing.
type pairSet struct {
	slots []uint64 // a pair as one number, which is never 0; 0: an empty slot
	n     int
	shift uint
}

// newPairSet returns a set with room for n pairs; it grows as needed.
func newPairSet(n int) pairSet {
	shift := uint(64 - 6)
	for 1<<(64-shift) < 2*n {
		shift--
	}
	return pairSet{slots: make([]uint64, 1<<(64-shift)), shift: shift}
}

// find returns the slot that contains a pair, or the empty slot for it.
func (s *pairSet) find(key uint64) *uint64 {
	const golden = 0x9e3779b97f4a7c15 // Fibonacci hashing
	for i := key * golden >> s.shift; ; i = (i + 1) & uint64(len(s.slots)-1) {
		if x := &s.slots[i]; *x == key || *x == 0 {
			return x
		}
	}
}

func (s *pairSet) has(a, b reg) bool { return *s.find(uint64(a)<<32 | uint64(b)) != 0 }

// add adds a pair, and reports whether it is new.
func (s *pairSet) add(a, b reg) bool {
	key := uint64(a)<<32 | uint64(b)
	x := s.find(key)
	if *x != 0 {
		return false
	}
	*x = key
	if s.n++; 2*s.n > len(s.slots) {
		old := s.slots
		s.shift--
		s.slots = make([]uint64, 2*len(old))
		for _, key := range old {
			if key != 0 {
				*s.find(key) = key
			}
		}
	}
	return true
}
