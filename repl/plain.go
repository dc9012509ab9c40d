package repl

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// plain is the itemReader for terminals without control sequences (TERM=dumb). The kernel edits the
// line; plain only prints the prompt.
type plain struct {
	out    io.Writer
	interp Interpreter
	hist   *history
	// asks requests a line. Nothing is read without a request, so an editor started by %edit has
	// the terminal to itself.
	asks  chan struct{}
	asked bool
	lines chan inputLine
	sig   chan os.Signal
	ended chan struct{}
	once  sync.Once
}

func newPlain(opt Options) (*plain, error) {
	p := &plain{out: opt.Out, interp: opt.Interp, hist: &history{file: opt.HistoryFile}, sig: make(chan os.Signal, 1),
		asks: make(chan struct{}, 1), lines: make(chan inputLine, 1), ended: make(chan struct{})}
	if err := p.hist.load(); err != nil {
		return nil, err
	}
	go func() {
		in := bufio.NewReader(opt.In)
		for range p.asks {
			if in.Buffered() == 0 {
				dropEOF(opt.In)
			}
			text, err := in.ReadString('\n')
			p.lines <- inputLine{text, err}
		}
	}()
	signal.Notify(p.sig, os.Interrupt)
	return p, nil
}

// dropEOF discards a Ctrl-D typed while an item was running. The terminal is then readable although
// no bytes are waiting.
func dropEOF(tty *os.File) {
	fds := []unix.PollFd{{Fd: int32(tty.Fd()), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, 0)
		if err != nil || n == 0 || fds[0].Revents != unix.POLLIN {
			return // no input, or the terminal is gone
		}
		waiting, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCINQ)
		if err != nil || waiting > 0 {
			return
		}
		if _, err := tty.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			return
		}
	}
}

func (p *plain) Read() (string, error) {
	select {
	case <-p.sig: // it was meant for the item that was running
	default:
	}
	item, prompt := "", prompt1
	for {
		if _, err := io.WriteString(p.out, prompt); err != nil {
			return "", err
		}
		if !p.asked {
			p.asks <- struct{}{}
			p.asked = true
		}
		select {
		case <-p.ended:
			return "", io.EOF
		case <-p.sig:
			_, err := io.WriteString(p.out, "\n")
			return "", errors.Join(errInterrupt, err)
		case l := <-p.lines:
			p.asked = false
			switch {
			case errors.Is(l.err, io.EOF) && item != "": // Ctrl-D drops a block
				_, err := io.WriteString(p.out, "\n")
				return "", errors.Join(errInterrupt, err)
			case l.err != nil: // the terminal is gone, or the user pressed Ctrl-D
				return "", io.EOF
			}
			item += l.text
		}
		src := strings.TrimSuffix(item, "\n")
		if isMagic(src) || p.interp.Complete(src) {
			return src, nil
		}
		prompt = prompt2
	}
}

func (p *plain) Remember(item string) {
	if err := p.hist.add(item); err != nil {
		p.hist.file = "" // plain does not recall items, so the error does not matter
	}
}

func (p *plain) Writer() io.Writer { return p.out }
func (p *plain) HangUp()           { p.once.Do(func() { close(p.ended) }) }

func (p *plain) Close() error {
	signal.Stop(p.sig)
	p.HangUp()
	return nil
}
