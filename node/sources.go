package node

import (
	"math/rand/v2"

	"github.com/ashlardb/ashlar/engine"
	"github.com/ashlardb/ashlar/node/config"
	"github.com/ashlardb/ashlar/node/info"
)

// sources tells the info server where its answers come from.
func (n *Node) sources(id uint64, c *config.Config, b Build, levels *info.Levels) (info.Sources, error) {
	addrs, err := addresses(&n.opts.Network.Service, n.service.Addrs())
	if err != nil {
		return info.Sources{}, err
	}
	src := info.Sources{
		NodeID:     id,
		ClusterKey: rand.Uint64() | 1,
		Version:    b.Version,
		BuildSHA:   b.SHA,
		BuildTime:  b.Time,
		Addresses:  addrs,
		Config:     c,
		Counters:   func() []any { return []any{n.service.Stats(), n.shared.NodeStats()} },
		Levels:     levels,
		LogPath:    n.sink.path,
		Log:        n.logger(levels, "info"),
		Started:    n.started,
	}
	for _, ns := range n.namespaces {
		src.Namespaces = append(src.Namespaces, n.namespaceSource(ns))
	}
	return src, nil
}

func (n *Node) namespaceSource(ns *namespace) info.Namespace {
	return info.Namespace{
		Name:  ns.Name(),
		Stats: func() []any { return []any{ns.Stats(), n.shared.Stats(ns.txn)} },
		Sets: func() []info.Set {
			var sets []info.Set
			for _, s := range ns.Sets() {
				sets = append(sets, info.Set{Name: s.Name, Objects: s.Objects, Tombstones: s.Tombstones, Bytes: s.Bytes})
			}
			return sets
		},
		Devices:   func() []info.Device { return deviceSources(ns) },
		Latencies: ns.txn.Latencies(),
	}
}

// deviceSources returns the figures of a namespace's devices.
func deviceSources(ns *namespace) []info.Device {
	kind := "file"
	o := ns.Options()
	switch {
	case o.Storage.Type == engine.StorageMemory:
		kind = "stripe"
	case len(o.Storage.Devices) > 0:
		kind = "device"
	}
	var devices []info.Device
	for _, d := range ns.Store().Stats().Devices {
		devices = append(devices, info.Device{Kind: kind, Stats: d})
	}
	return devices
}

// bindConfig makes set-config reach those who use the settings, and get-config
// tell what they use.
func (n *Node) bindConfig(c *config.Config) error {
	if err := config.Effective(c, "service", "", n.opts.Service); err != nil {
		return err
	}
	err := config.Bind(c, "service", "", func(o ServiceOptions) error {
		if err := n.shared.Configure(o.TxnOptions); err != nil {
			return err
		}
		return n.service.Configure(o.LoopOptions)
	})
	if err != nil {
		return err
	}
	for _, ns := range n.namespaces {
		if err := config.Effective(c, "namespace", ns.Name(), ns.Options()); err != nil {
			return err
		}
		err := config.Bind(c, "namespace", ns.Name(), func(o engine.Options) error {
			if err := ns.Configure(o); err != nil {
				return err
			}
			ns.txn.SetPendingLimit(o.TransactionPendingLimit)
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
