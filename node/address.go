package node

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/ashlardb/ashlar/node/info"
)

// addresses says where clients find a node that listens on listening.
func addresses(o *AddressOptions, listening []netip.AddrPort) (info.Addresses, error) {
	var a info.Addresses
	port := o.Port
	if len(listening) > 0 {
		port = int(listening[0].Port())
	}
	a.Endpoints.Service = info.Endpoint{Port: port, Hosts: o.Addresses}
	if len(o.Access) > 0 {
		p := o.AccessPort
		if p == 0 {
			p = port
		}
		a.Endpoints.Access = info.Endpoint{Port: p, Hosts: o.Access}
		a.Service = join(o.Access, p)
	} else {
		hosts, err := reachable(listening)
		if err != nil {
			return a, err
		}
		a.Endpoints.Access = info.Endpoint{Port: port, Hosts: hosts}
		a.Service = join(hosts, port)
	}
	if len(o.Alternate) > 0 {
		p := o.AlternatePort
		if p == 0 {
			p = port
		}
		a.Endpoints.Alternate = info.Endpoint{Port: p, Hosts: o.Alternate}
		a.Alternate = join(o.Alternate, p)
	}
	return a, nil
}

func join(hosts []string, port int) []string {
	var all []string
	for _, h := range hosts {
		all = append(all, net.JoinHostPort(h, strconv.Itoa(port)))
	}
	return all
}

// reachable returns the hosts under which others reach what is listened on:
// for every address of the machine those of its interfaces, loopback only if
// there is nothing else.
func reachable(listening []netip.AddrPort) ([]string, error) {
	var hosts []string
	seen := map[string]bool{}
	add := func(host string) {
		if !seen[host] {
			seen[host] = true
			hosts = append(hosts, host)
		}
	}
	for _, l := range listening {
		if !l.Addr().IsUnspecified() {
			add(l.Addr().String())
			continue
		}
		all, err := net.InterfaceAddrs()
		if err != nil {
			return nil, fmt.Errorf("node: addresses of the interfaces: %w", err)
		}
		loopback := "127.0.0.1"
		for _, a := range all {
			ip, ok := a.(*net.IPNet)
			if !ok || ip.IP.IsLinkLocalUnicast() || (ip.IP.To4() != nil) != l.Addr().Is4() || ip.IP.IsLoopback() {
				continue
			}
			loopback = ""
			add(ip.IP.String())
		}
		if loopback != "" {
			add(loopback)
		}
	}
	return hosts, nil
}
