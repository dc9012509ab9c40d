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

// A large hash is read from several places concurrently. Most of the time is spent waiting for
// memory: for each key, its bucket and lock, the element, and the value of each CPU. From 5.6 to
// 7.2, the position at which a batch begins is a bucket number (kernel/bpf/hashtab.c:
// __htab_map_lookup_and_delete_batch), and keys stay in their buckets. So each reader can take a
// share of the buckets, and each bucket is read once, under its lock.

const (
	shareAfter = 1 << 14 // number of keys read before deciding
	shareFrom  = 1 << 16 // estimated number of remaining keys that is worth splitting
	mostAtOnce = 4       // number of concurrent readers
	sharesEach = 4       // shares per reader, so that faster readers can take more
	// shareFirst is the number of keys in the first batch of a share. It exceeds the number of keys
	// by which the previous share can overlap.
	shareFirst = 4096
	shareLast  = 256 // number of keys in the last batch, so that the overlap is small
)

// hashTypes are the map types whose batch positions are bucket numbers.
var hashTypes = []ebpf.MapType{ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash}

// bucket returns the bucket at which the next batch begins.
func (r *reader) bucket() int { return int(binary.NativeEndian.Uint32(r.from)) }

// buckets returns the number of buckets of a hash (htab_map_alloc).
func (m *Map) buckets() int { return 1 << bits.Len32(m.spec.MaxEntries-1) }

// keysPerBucket returns the average number of keys per bucket read so far.
func (r *reader) keysPerBucket() float64 { return float64(r.chunk.n) / float64(max(r.bucket(), 1)) }

// remaining estimates the number of remaining keys from the keys read so far.
func (r *reader) remaining() int { return int(r.keysPerBucket() * float64(r.m.buckets()-r.bucket())) }

// worthSplitting reports whether so many keys remain that they should be read concurrently. From
// 5.11 to 6.0 a batch skips a bucket if another task on its CPU is about to take the lock, as
// another reader might (6.1: "Propagate error from htab_lock_bucket() to userspace").
func (r *reader) worthSplitting() bool {
	return !r.ended && r.chunk.n >= shareAfter && runtime.GOMAXPROCS(0) > 1 && slices.Contains(hashTypes, r.m.spec.Type) &&
		r.remaining() > shareFrom && (sys.OlderThan(5, 11) || !sys.OlderThan(6, 1))
}

// A bucketRange reads the buckets of one share, up to end, and some buckets of the next share.
type bucketRange struct {
	reader
	end           int     // first bucket of the next share
	final         bool    // the share extends to the end of the map
	keysPerBucket float64 // estimate
	first         int     // number of keys in the first batch
	nextStart     int     // the bucket after the first batch
}

// split reads what r has left, in shares. The error is ctx's error, or the first error of a share.
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
		// mem holds all the shares of one reader, one after another, because large pages are larger
		// than a share.
		mem := &chunk{}
		s.chunks = append(s.chunks, mem)
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					cancel(&readerPanic{p, debug.Stack()})
				}
			}()
			// Some readers read more than others. Memory that is not touched costs nothing.
			room := r.remaining() * 5 / 4 / readers * 2
			if mem.grow(room, r.keySize, r.valueSize) != nil {
				room = 0 // each share allocates its own memory, or reports why it cannot
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

// A readerPanic passes a panic in a reading goroutine to the goroutine that waits for it.
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

// trimOverlap removes keys of the last batch that lie in the next share's buckets and that the next
// share has read too. The next share has read everything that was in its buckets; a key added
// between the two reads is in one of the shares.
func (sh *bucketRange) trimOverlap(next []*bucketRange) {
	theirs := next[0].keys(next[0].first)
	// So many keys were deleted during the read that this share went beyond the next one's first
	// batch.
	if sh.bucket() > next[0].nextStart {
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

// keys returns the first n keys as a set.
func (sh *bucketRange) keys(n int) map[string]bool {
	out := make(map[string]bool, n)
	for i := range n {
		out[string(sh.chunk.keys[i*sh.keySize:(i+1)*sh.keySize])] = true
	}
	return out
}
