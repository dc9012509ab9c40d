package tools

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Loads of TCP connections over the loopback device. They use the thread's own system calls.

// listen returns a socket that listens at a free port of 127.0.0.1.
func listen(backlog int) (fd int, at *unix.SockaddrInet4, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err != nil {
		return 0, nil, err
	}
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, backlog)); err != nil {
		return 0, nil, err
	}
	name, err := unix.Getsockname(fd)
	if err != nil {
		return 0, nil, err
	}
	return fd, name.(*unix.SockaddrInet4), nil
}

// connect returns a connected socket.
func connect(at *unix.SockaddrInet4) (fd int, err error) {
	if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0); err != nil {
		return 0, err
	}
	return fd, unix.Connect(fd, at)
}

// loadTCP makes n[0] connections that send 5000 bytes and receive 2048, and as many that are
// refused.
func loadTCP(n ...int) error {
	server, at, err := listen(37)
	if err != nil {
		return err
	}
	for range n[0] {
		client, err := connect(at)
		if err != nil {
			return err
		}
		accepted, _, err := unix.Accept4(server, 0)
		if err != nil {
			return err
		}
		for _, c := range []struct{ from, to, size int }{{client, accepted, 5000}, {accepted, client, 2048}} {
			if _, err := unix.Write(c.from, make([]byte, c.size)); err != nil {
				return err
			}
			if _, _, err := unix.Recvfrom(c.to, make([]byte, c.size), unix.MSG_WAITALL); err != nil {
				return err
			}
		}
		if err := errors.Join(unix.Close(client), unix.Close(accepted)); err != nil {
			return err
		}
	}
	if err := unix.Close(server); err != nil {
		return err
	}
	return loadRefused(n[0], at.Port)
}

// loadRefused tries n[0] times to connect to port n[1] of 127.0.0.1, at which nothing listens.
func loadRefused(n ...int) error {
	for range n[0] {
		fd, err := connect(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: n[1]})
		if err != unix.ECONNREFUSED {
			return fmt.Errorf("connect: %v, want ECONNREFUSED", err)
		}
		if err := unix.Close(fd); err != nil {
			return err
		}
	}
	return nil
}

// loadQueue makes n[0] connections that nobody accepts.
func loadQueue(n ...int) error {
	_, at, err := listen(37)
	if err != nil {
		return err
	}
	for range n[0] {
		if _, err := connect(at); err != nil {
			return err
		}
	}
	return nil
}

// loadResend connects to a socket whose queue is full, so that the first segment is sent again. It
// writes the port, and how often that was, to the file "resent".
func loadResend(...int) error {
	_, at, err := listen(0)
	if err != nil {
		return err
	}
	if _, err := connect(at); err != nil { // fills the queue
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return err
	}
	if err := unix.Connect(fd, at); err != unix.EINPROGRESS {
		return fmt.Errorf("connect: %v, want EINPROGRESS", err)
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return err
		}
		if info.Total_retrans == 0 {
			continue
		}
		if err := unix.Close(fd); err != nil { // ends sending
			return err
		}
		return os.WriteFile(os.TempDir()+"/resent", []byte(strconv.Itoa(at.Port)+" "+strconv.Itoa(int(info.Total_retrans))), 0o600)
	}
	return errors.New("nothing was sent again")
}

// loadBind binds a socket to a free port, and fails n[0] times to bind others to that port.
func loadBind(n ...int) error {
	_, at, err := listen(37)
	if err != nil {
		return err
	}
	for range n[0] {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, at); err != unix.EADDRINUSE {
			return fmt.Errorf("bind: %v, want EADDRINUSE", err)
		}
	}
	return nil
}

// loadTalk makes a connection to port n[1] of 127.0.0.1, over which n[0] messages and as many
// answers go.
func loadTalk(n ...int) error {
	server, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	at := &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: n[1]}
	if err := errors.Join(unix.Bind(server, at), unix.Listen(server, 1)); err != nil {
		return err
	}
	client, err := connect(at)
	if err != nil {
		return err
	}
	accepted, _, err := unix.Accept4(server, 0)
	if err != nil {
		return err
	}
	b := make([]byte, 10)
	for range n[0] {
		for _, c := range [][2]int{{client, accepted}, {accepted, client}} {
			if _, err := unix.Write(c[0], b); err != nil {
				return err
			}
			if _, err := unix.Read(c[1], b); err != nil {
				return err
			}
		}
	}
	return nil
}
