package compiler

// A Variant is one of the ways in which the loops of a handler can be put for the verifier. It follows a program on every way and gives up after
// a million steps, so a program can be right and too large for it; another form of the same program may be small. Which one is small
// differs from kernel to kernel and can only be found out by trying.
type Variant uint8

// The forms, in the order in which they are tried.
const (
	// VariantDefault is the fastest: the verifier walks through loops of constant length round by round.
	VariantDefault Variant = iota
	// VariantOpaque hides the variables of loops of constant length too, and makes the longer of them loops of run-time length where the kernel has those.
	VariantOpaque
	// VariantCallbacks has a helper run loops of run-time length (bpf_loop), their bodies in functions of their own.
	VariantCallbacks
)

// Next returns the form to try after f, and false if there is none that this kernel has.
func (r *Request) Next(f Variant) (Variant, bool) {
	switch {
	case f == VariantDefault:
		return VariantOpaque, true
	case f == VariantOpaque && r.Features.Loop && r.iterators():
		return VariantCallbacks, true
	}
	return f, false
}

// iterators reports whether loops of run-time length count with the kernel's number iterator.
func (r *Request) iterators() bool {
	if r.Variant == VariantCallbacks {
		return false
	}
	_, err := r.Kfunc(iterNew)
	return err == nil
}

// maxWalked bounds the rounds of loops of constant length, nested ones multiplied, that the verifier walks through where the kernel has loops of
// run-time length.
func (r *Request) maxWalked() int64 {
	if r.Variant == VariantDefault {
		return 128
	}
	return 8
}
