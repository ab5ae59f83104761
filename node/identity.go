package node

import (
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"strconv"
)

// nodeID returns the number that tells this node from others: the setting, or
// the fabric port and the address of a network interface, last byte first, as
// the original makes it. A machine without such an interface gets a number of
// its host name.
func nodeID(o *ServiceOptions, fabricPort int) (uint64, error) {
	if o.NodeID != "" {
		id, err := strconv.ParseUint(o.NodeID, 16, 64)
		if err != nil || id == 0 {
			return 0, fmt.Errorf("node: node-id %q: want 1 to 16 hexadecimal digits, not 0", o.NodeID)
		}
		return id, nil
	}
	mac, err := hardwareAddress(o.NodeIDInterface)
	if err != nil {
		return 0, err
	}
	id := uint64(fabricPort)
	for i := len(mac) - 1; i >= 0; i-- {
		id = id<<8 | uint64(mac[i])
	}
	return id, nil
}

// hardwareAddress returns the 6 bytes of the named interface, or of the first
// that has some.
func hardwareAddress(name string) ([]byte, error) {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("node: network interfaces: %w", err)
	}
	for _, i := range interfaces {
		if len(i.HardwareAddr) == 6 && (name == "" || i.Name == name) {
			return i.HardwareAddr, nil
		}
	}
	if name != "" {
		return nil, fmt.Errorf("node: node-id-interface %s: there is no such interface with a hardware address", name)
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("node: no network interface and no host name to make a node-id of: %w", err)
	}
	h := fnv.New64a()
	h.Write([]byte(host)) //nolint:errcheck // a hash takes anything
	return h.Sum(nil)[:6], nil
}
