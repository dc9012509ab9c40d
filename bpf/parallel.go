package bpf

import (
	"context"
	"sync"
)

// parallel calls fn for 0 to n-1, at most most calls at a time, and waits for all of them. Once ctx
// has ended it starts no more calls and returns ctx's error.
func parallel(ctx context.Context, n, most int, progress func(done, total int), fn func(i int)) error {
	if n == 1 { // the usual case needs no goroutine
		if err := ctx.Err(); err != nil {
			return err
		}
		fn(0)
		return nil
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	sem := make(chan struct{}, most)
	defer wg.Wait()
	for i := range n {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case sem <- struct{}{}:
		}
		if err := ctx.Err(); err != nil { // both channels were ready
			return err
		}
		wg.Go(func() {
			defer func() { <-sem }()
			fn(i)
			if progress != nil {
				mu.Lock()
				defer mu.Unlock()
				done++
				progress(done, n)
			}
		})
	}
	return nil
}
