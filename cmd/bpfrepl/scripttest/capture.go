package scripttest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A capture keeps the end of what a test and the processes that it starts print. It is a pipe, so
// that processes can write to it.
type capture struct {
	w       *os.File
	r       *os.File
	live    io.Writer // gets everything at once; may be nil
	kept    []byte
	dropped int // bytes before kept
	done    chan error
}

// mostKept is the number of bytes that a capture keeps at least.
const mostKept = 64 << 10

// lastOutput is how long the output of a process that outlives its test is read.
const lastOutput = 50 * time.Millisecond

func newCapture(live io.Writer) (*capture, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := &capture{w: w, r: r, live: live, done: make(chan error, 1)}
	go func() {
		_, err := io.Copy(c, onlyReader{r})
		c.done <- err
	}()
	return c, nil
}

// An onlyReader has no other methods, so that io.Copy calls Write.
type onlyReader struct{ io.Reader }

// Write implements io.Writer. It is called by the goroutine of newCapture.
func (c *capture) Write(p []byte) (int, error) {
	if c.live != nil {
		if _, err := c.live.Write(p); err != nil {
			c.live = nil // the report meets the same error
		}
	}
	c.kept = append(c.kept, p...)
	if n := len(c.kept) - mostKept; n > mostKept {
		c.kept = append([]byte(nil), c.kept[n:]...)
		c.dropped += n
	}
	return len(p), nil
}

// close ends the capture and returns what it has kept.
func (c *capture) close() (string, error) {
	err := c.w.Close()
	err = errors.Join(err, c.r.SetReadDeadline(time.Now().Add(lastOutput)))
	if copyErr := <-c.done; !errors.Is(copyErr, os.ErrDeadlineExceeded) {
		err = errors.Join(err, copyErr)
	}
	text := strings.ToValidUTF8(string(c.kept), "\uFFFD")
	if c.dropped > 0 {
		text = fmt.Sprintf("(%d bytes before this are left out)\n", c.dropped) + text
	}
	return text, errors.Join(err, c.r.Close())
}
