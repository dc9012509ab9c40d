package tree

// A Variant is a form in which the loops of a handler can be presented to the verifier. The
// verifier follows a program along every path and gives up after a million steps, so a correct
// program can be too large for it, while another form of the same program is small. Which form is
// small differs between kernels and can only be found by trying.
type Variant uint8

// The variants, in the order in which they are tried.
const (
	// VariantDefault is the fastest: the verifier walks loops of constant length iteration by
	// iteration.
	VariantDefault Variant = iota
	// VariantOpaque also hides the variables of constant-length loops from the verifier. If the
	// kernel supports loops of run-time length, the longer constant-length loops become such loops.
	VariantOpaque
	// VariantCallbacks runs loops of run-time length with a helper (bpf_loop), with their bodies in
	// functions of their own.
	VariantCallbacks
)

// Next returns the variant to try after f, or false if this kernel supports no other.
func (r *Request) Next(f Variant) (Variant, bool) {
	switch {
	case f == VariantDefault:
		return VariantOpaque, true
	case f == VariantOpaque && r.Features.Loop && r.Iterators():
		return VariantCallbacks, true
	}
	return f, false
}

// IterNew is the kernel function that creates a number iterator.
const IterNew = "bpf_iter_num_new"

// Iterators reports whether loops of run-time length use the kernel's number iterator.
func (r *Request) Iterators() bool {
	if r.Variant == VariantCallbacks {
		return false
	}
	_, err := r.Kfunc(IterNew)
	return err == nil
}

// MaxWalked returns the maximum number of iterations of constant-length loops that the verifier
// walks, if the kernel supports loops of run-time length. Iterations of nested loops multiply.
func (r *Request) MaxWalked() int64 {
	if r.Variant == VariantDefault {
		return 128
	}
	return 8
}
