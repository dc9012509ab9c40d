// Command goprog calls Go functions a known number of times, on stacks that grow and move.
package main

import (
	"os"
	"runtime"
	"strconv"
	"sync"
)

//go:noinline
func deep(n int, pad [64]byte) int {
	if n == 0 {
		return 7
	}
	pad[n%64]++
	return deep(n-1, pad) + int(pad[n%64]) - int(pad[n%64])
}

type shape struct{ w, h int }

//go:noinline
func (s *shape) area(scale int, name string) int {
	if s.w < 0 {
		return -1
	}
	return s.w*s.h*scale + len(name)
}

// across moves to another thread between its entry and its return.
//
//go:noinline
func across(n int) int {
	runtime.Gosched()
	return n
}

func main() {
	n, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	var wg sync.WaitGroup
	for g := 0; g < 20; g++ {
		wg.Go(func() {
			for i := 0; i < n; i++ {
				if deep(200, [64]byte{}) != 7 { // the goroutine's stack starts small, and grows again and again
					panic("deep")
				}
				if (&shape{i, 2}).area(3, "name") != i*6+4 {
					panic("area")
				}
				if across(i) != i {
					panic("across")
				}
			}
			runtime.GC()
		})
	}
	wg.Wait()
}
