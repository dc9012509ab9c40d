package kmap

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"github.com/bpfrepl/bpfrepl/bpf/sys"
)

// A large hash is read from several places at once. Most of the time goes into waiting for memory: for each key its bucket and its
// lock, the element, and the value of each CPU. The place where a batch begins is the number of a bucket, from 5.6 to 7.2
// (kernel/bpf/hashtab.c: __htab_map_lookup_and_delete_batch), and keys stay in their buckets. So each reader takes a share of the
// buckets, and each bucket is read once, under its lock.

const (
	shareAfter = 1 << 14 // keys that have been read when it is decided
	shareFrom  = 1 << 16 // keys that are still to come, by those, that are worth the trouble
	mostAtOnce = 4       // readers
	sharesEach = 4       // for each reader: those who are quicker take more
	shareFirst = 4096    // keys that a share begins with: more than the one before it can reach into it
	shareLast  = 256     // keys that it ends with, so that few are the next one's
)

// hashTypes are the types of maps whose batches begin at a bucket.
var hashTypes = []ebpf.MapType{ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash}

// bucket is where the next batch begins.
func (r *reader) bucket() int { return int(binary.NativeEndian.Uint32(r.from)) }

// buckets gives the number of buckets of a hash (htab_map_alloc).
func (m *Map) buckets() int { return 1 << bits.Len32(m.spec.MaxEntries-1) }

// keysPerBucket gives the keys a bucket that were met so far.
func (r *reader) keysPerBucket() float64 { return float64(r.chunk.n) / float64(max(r.bucket(), 1)) }

// remaining gives how many keys are still to come, by those that were met.
func (r *reader) remaining() int { return int(r.keysPerBucket() * float64(r.m.buckets()-r.bucket())) }

// worthSplitting tells that so much is still to come that it should be read from several places. From 5.11 to 6.0 a batch leaves out a bucket if
// somebody else on its CPU is about to take the lock, as another reader might (6.1: "Propagate error from htab_lock_bucket() to userspace").
func (r *reader) worthSplitting() bool {
	return !r.ended && r.chunk.n >= shareAfter && runtime.GOMAXPROCS(0) > 1 && slices.Contains(hashTypes, r.m.spec.Type) &&
		r.remaining() > shareFrom && (sys.OlderThan(5, 11) || !sys.OlderThan(6, 1))
}

// A bucketRange reads the buckets up to end, and some that are the next share's.
type bucketRange struct {
	reader
	end           int     // the bucket that is the next share's first
	final         bool    // it goes on to the end of the map
	keysPerBucket float64 // keys a bucket, about
	first         int     // keys of the first batch
	nextStart     int     // the bucket behind the first batch
}

// split reads what r has left, in shares. The error is ctx's, or the first that a share met.
func (s *Snapshot) split(ctx context.Context, r *reader) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	readers := min(runtime.GOMAXPROCS(0), mostAtOnce)
	from, all, n := r.bucket(), r.m.buckets()-r.bucket(), readers*sharesEach
	shares := make([]*bucketRange, n)
	for i := range shares {
		shares[i] = &bucketRange{reader: *r.m.newReader(&chunk{}), end: from + all*(i+1)/n, final: i == n-1, keysPerBucket: r.keysPerBucket()}
		shares[i].from = binary.NativeEndian.AppendUint32(nil, uint32(from+all*i/n))
		s.chunks = append(s.chunks, shares[i].chunk)
	}
	var taken atomic.Int64
	var wg sync.WaitGroup
	for range readers {
		mem := &chunk{} // of all the shares that one reads, one behind the other: large pages are larger than one
		s.chunks = append(s.chunks, mem)
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					cancel(&readerPanic{p, debug.Stack()})
				}
			}()
			room := r.remaining() * 5 / 4 / readers * 2 // some read more than others; what is not touched takes no memory
			if mem.grow(room, r.keySize, r.valueSize) != nil {
				room = 0 // each share finds its own, or says why not
			}
			used := 0
			for i := taken.Add(1); int(i) <= n && inner.Err() == nil; i = taken.Add(1) {
				sh := shares[i-1]
				*sh.chunk, sh.room = mem.tail(used, r.keySize, r.valueSize), room-used
				if err := sh.read(inner); err != nil {
					cancel(err)
				}
				if sh.chunk.borrowed {
					used += sh.chunk.n
				}
			}
		})
	}
	wg.Wait()
	r.ended = true
	if err := context.Cause(inner); err != nil {
		var p *readerPanic
		if errors.As(err, &p) {
			panic(p)
		}
		return err
	}
	for i, sh := range shares[:n-1] {
		sh.trimOverlap(shares[i+1:])
	}
	return nil
}

// A readerPanic is a panic of a goroutine that reads, handed on to the one that waits for it.
type readerPanic struct {
	value any
	stack []byte
}

func (p *readerPanic) Error() string { return fmt.Sprintf("%v\n%s", p.value, p.stack) }

func (sh *bucketRange) read(ctx context.Context) error {
	for sh.count = shareFirst; ; {
		if err := sh.next(ctx); err != nil {
			return err
		}
		if sh.first == 0 {
			sh.first, sh.nextStart = sh.chunk.n, sh.bucket()
		}
		if sh.ended || !sh.final && sh.bucket() >= sh.end {
			return nil
		}
		sh.count = max(shareLast, min(sys.BatchMost, int(0.95*sh.keysPerBucket*float64(sh.end-sh.bucket()))))
	}
}

// trimOverlap leaves out what the last batch has of the next share's buckets, where the next has it too: it has read all that was there, and
// what came to be there between the two is in one of them.
func (sh *bucketRange) trimOverlap(next []*bucketRange) {
	theirs := next[0].keys(next[0].first)
	if sh.bucket() > next[0].nextStart { // so many keys were deleted meanwhile that it went that far
		for _, other := range next {
			maps.Copy(theirs, other.keys(other.chunk.n))
		}
	}
	p, end := sh.chunk, sh.chunk.n
	p.n = sh.last
	for i := sh.last; i < end; i++ {
		if theirs[string(p.keys[i*sh.keySize:(i+1)*sh.keySize])] {
			continue
		}
		copy(p.keys[p.n*sh.keySize:], p.keys[i*sh.keySize:(i+1)*sh.keySize])
		copy(p.values[p.n*sh.valueSize:], p.values[i*sh.valueSize:(i+1)*sh.valueSize])
		p.n++
	}
}

// keys gives the first n keys.
func (sh *bucketRange) keys(n int) map[string]bool {
	out := make(map[string]bool, n)
	for i := range n {
		out[string(sh.chunk.keys[i*sh.keySize:(i+1)*sh.keySize])] = true
	}
	return out
}
