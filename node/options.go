package node

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/node/service"
	"github.com/ashlardb/ashlar/node/txn"
)

// Options is the tree of all settings of a node, each in the struct of the
// package that uses it. Start from DefaultOptions.
type Options struct {
	Service    ServiceOptions   `config:"service"`
	Network    NetworkOptions   `config:"network"`
	Logging    LoggingOptions   `config:"logging"`
	Namespaces []engine.Options `config:"namespace"`

	// DataDir is where the files of namespaces lie whose names have no
	// directory. Default "data".
	DataDir string
	// ForceInit lists the devices that are taken over whatever they hold.
	ForceInit []string
}

// Names under which the settings of the service block are embedded.
type (
	LoopOptions = service.Options
	TxnOptions  = txn.Options
)

// ServiceOptions are the settings of the service block.
type ServiceOptions struct {
	LoopOptions
	TxnOptions

	// ClusterName is what nodes of one cluster have in common.
	ClusterName string `config:"cluster-name"`
	// NodeID is the node's number in hexadecimal digits; empty: made of the
	// first network interface's address.
	NodeID string `config:"node-id"`
	// NodeIDInterface is the interface whose address to take.
	NodeIDInterface string `config:"node-id-interface"`
}

// NetworkOptions are the settings of the network block.
type NetworkOptions struct {
	Service AddressOptions `config:"service"`
	Fabric  PortOptions    `config:"fabric"`
}

// AddressOptions say where clients find the node.
type AddressOptions struct {
	// Addresses to listen on: IP addresses, names, or "any".
	Addresses []string `config:"address"`
	Port      int      `config:"port"`
	// Access addresses are what clients are told; without them what is
	// listened on, "any" being the addresses of all interfaces.
	Access        []string `config:"access-address"`
	AccessPort    int      `config:"access-port"`
	Alternate     []string `config:"alternate-access-address"`
	AlternatePort int      `config:"alternate-access-port"`
}

// PortOptions is a port that a node alone does not listen on.
type PortOptions struct {
	Port int `config:"port"`
}

// LoggingOptions say where the log goes: to the file, if there is one, and to
// the standard error output, if there is no file or Console is set.
type LoggingOptions struct {
	Console *ConsoleLog `config:"console"`
	Files   []FileLog   `config:"file"`
}

// ConsoleLog is the log on the standard error output.
type ConsoleLog struct {
	// Contexts are pairs of context and level: "any info".
	Contexts []string `config:"context"`
}

// FileLog is the log in a file.
type FileLog struct {
	Path     string   `config:",name"`
	Contexts []string `config:"context"`
}

// Defaults of a node without a configuration file.
const (
	defaultPort       = 3000
	defaultFabricPort = 3001 // part of the node's number
	defaultDataDir    = "data"
	defaultSize       = 1 << 30 // of each of the two namespaces, in bytes
)

// DefaultOptions returns a node on 127.0.0.1:3000 with two namespaces: test
// on a file of 1 GiB under ./data, by direct I/O, and mem in memory.
func DefaultOptions() Options {
	o := BaseOptions()
	o.Network.Service.Addresses = []string{"127.0.0.1"}
	o.Network.Service.Port = defaultPort

	test := engine.DefaultOptions()
	test.Name = "test"
	test.Storage.Type = engine.StorageDevice
	test.Storage.Files = []string{"test.dat"}
	test.Storage.Filesize = defaultSize
	test.Storage.DirectFiles = true

	mem := engine.DefaultOptions()
	mem.Name = "mem"
	mem.Storage.Type = engine.StorageMemory
	mem.Storage.DataSize = defaultSize

	o.Namespaces = []engine.Options{test, mem}
	return o
}

// BaseOptions returns what a configuration file starts from: no namespace,
// and no address but the default port.
func BaseOptions() Options {
	return Options{
		Service: ServiceOptions{
			LoopOptions: service.DefaultOptions(),
			ClusterName: "ashlar",
		},
		Network: NetworkOptions{
			Service: AddressOptions{Port: defaultPort},
			Fabric:  PortOptions{Port: defaultFabricPort},
		},
		DataDir: defaultDataDir,
	}
}

// setDefaults computes what follows from other settings.
func (o *Options) setDefaults() {
	a := &o.Network.Service
	if len(a.Addresses) == 0 {
		a.Addresses = []string{"any"}
	}
	o.Service.Addresses = nil
	for _, host := range a.Addresses {
		o.Service.Addresses = append(o.Service.Addresses, net.JoinHostPort(host, strconv.Itoa(a.Port)))
	}
	if o.Service.Threads == 0 {
		o.Service.Threads = service.DefaultThreads()
	}
	for i := range o.Namespaces {
		st := &o.Namespaces[i].Storage
		o.Service.FlushMax = max(o.Service.FlushMax, st.FlushMax)
		st.ForceInit = o.ForceInit
		for j, path := range st.Files {
			if filepath.Base(path) == path {
				st.Files[j] = filepath.Join(o.DataDir, path)
			}
		}
	}
}

// validate reports what no single package can know.
func (o *Options) validate() error {
	if len(o.Namespaces) == 0 {
		return fmt.Errorf("node: no namespace: want at least one")
	}
	owner := map[string]string{}
	for i := range o.Namespaces {
		ns := &o.Namespaces[i]
		for _, path := range append(append([]string(nil), ns.Storage.Devices...), ns.Storage.Files...) {
			if other, taken := owner[path]; taken {
				return fmt.Errorf("node: %s is given to namespace %s and to namespace %s", path, other, ns.Name)
			}
			owner[path] = ns.Name
		}
	}
	return nil
}
