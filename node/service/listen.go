package service

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// backlog is how many connections wait to be accepted; the kernel lowers
	// it to net.core.somaxconn.
	backlog = 4096
	// acceptNap is the pause after accept failed for want of descriptors or
	// memory.
	acceptNap = 50 * time.Millisecond
	// A peer that is gone without a word is found out after keepIdle and
	// keepCount probes, keepInterval apart, in seconds.
	keepIdle, keepInterval, keepCount = 60, 30, 4
)

// listener is one listening socket and the goroutine that accepts from it.
type listener struct {
	s    *Service
	fd   int
	addr netip.AddrPort
	wg   sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

// Bind listens on every address of the options. Clients can connect from now
// on; they wait until Accept.
func (s *Service) Bind() error {
	for _, a := range s.opts.Addresses {
		addrs, err := resolve(a)
		if err != nil {
			return err
		}
		for _, addr := range addrs {
			l, err := s.listen(addr)
			if err != nil {
				return fmt.Errorf("service: listen on %s: %w", addr, err)
			}
			s.listeners = append(s.listeners, l)
		}
	}
	return nil
}

// Accept starts to serve clients.
func (s *Service) Accept() {
	for _, l := range s.listeners {
		l.wg.Go(l.accept)
	}
}

// Addrs returns the addresses listened on.
func (s *Service) Addrs() []netip.AddrPort {
	var addrs []netip.AddrPort
	for _, l := range s.listeners {
		addrs = append(addrs, l.addr)
	}
	return addrs
}

// resolve turns "host:port" into addresses. The host "any" is every address
// of the machine.
func resolve(s string) ([]netip.AddrPort, error) {
	host, portText, err := net.SplitHostPort(s)
	if err != nil {
		return nil, fmt.Errorf("service: address %q: %w", s, err)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("service: address %q: port: want 0 to 65535", s)
	}
	if host == "any" || host == "" {
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), uint16(port))}, nil
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip, uint16(port))}, nil
	}
	ips, err := net.LookupIP(host)
	if err != nil {
		return nil, fmt.Errorf("service: address %q: %w", s, err)
	}
	var addrs []netip.AddrPort
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok && a.Unmap().Is4() {
			addrs = append(addrs, netip.AddrPortFrom(a.Unmap(), uint16(port)))
		}
	}
	if len(addrs) == 0 {
		return nil, fmt.Errorf("service: address %q: no IPv4 address", s)
	}
	return addrs, nil
}

// listen makes a listening socket. It blocks, as do the sockets accepted from
// it: a ring waits for them by itself.
func (s *Service) listen(addr netip.AddrPort) (*listener, error) {
	family, sockaddr := toSockaddr(addr)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil {
		err = unix.Bind(fd, sockaddr)
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err == nil {
		sockaddr, err = unix.Getsockname(fd)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return &listener{s: s, fd: fd, addr: fromSockaddr(sockaddr)}, nil
}

func toSockaddr(addr netip.AddrPort) (family int, sa unix.Sockaddr) {
	if addr.Addr().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
}

func fromSockaddr(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr), uint16(sa.Port))
	}
	return netip.AddrPort{}
}

// accept deals connections to the loops until the listener is closed.
func (l *listener) accept() {
	for {
		fd, _, err := unix.Accept4(l.fd, unix.SOCK_CLOEXEC)
		switch {
		case err == nil:
			tune(fd)
			l.s.deal(fd)
		case l.isClosed():
			return
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			// that connection is over; the next one is not
		default: // EMFILE, ENFILE, ENOBUFS, ENOMEM: others may end meanwhile
			l.s.acceptErrors.logNow(l.s, err)
			time.Sleep(acceptNap)
		}
	}
}

// tune sets what every connection has: replies go out at once, dead peers are
// noticed. A connection for which that fails works without.
func tune(fd int) {
	for _, o := range [...]struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepIdle},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepInterval},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepCount},
	} {
		_ = unix.SetsockoptInt(fd, o.level, o.name, o.value)
	}
}

func (l *listener) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed
}

// close ends accept: shutting a listening socket down wakes it.
func (l *listener) close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	err := unix.Shutdown(l.fd, unix.SHUT_RD)
	l.wg.Wait()
	return errors.Join(err, unix.Close(l.fd))
}
