package vmtest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"syscall"
)

// busyLoops is how many busy loops load the host while Soak runs.
const busyLoops = 2

// Soak runs the suite n times on a loaded host and reports each run. It continues after a failed
// run.
func (s Suite) Soak(n int) (err error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for range busyLoops {
		busy := exec.CommandContext(ctx, "sh", "-c", "while :; do :; done")
		busy.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := busy.Start(); err != nil {
			return err
		}
		defer func() {
			cancel()
			var killed *exec.ExitError
			if werr := busy.Wait(); !errors.As(werr, &killed) && !errors.Is(werr, context.Canceled) {
				err = errors.Join(err, fmt.Errorf("a busy loop ended: %w", werr))
			}
		}()
	}
	var errs []error
	for i := range n {
		sum, err := s.Do()
		state := "green"
		if err != nil {
			state = "failed"
			errs = append(errs, fmt.Errorf("run %d of %d: %w", i+1, n, err))
		}
		fmt.Fprintf(s.Log, "vmtest: run %d of %d beside %d busy loops: %s, %.0f s; %d machines crashed, %d tests were run again\n",
			i+1, n, busyLoops, state, sum.Took.Seconds(), sum.Crashes, sum.Again)
	}
	return errors.Join(errs...)
}
