package engine

import (
	"fmt"

	"github.com/ashlardb/ashlar/engine/record"
)

// evaluatePeriod is how often the stop-writes limits are looked at. The
// original does it every 10 s; a device fills faster than that.
const evaluatePeriod record.Time = 1000

// SetSystemMemory tells the namespace how much of the machine's memory is in
// use, in percent. It counts from the next look at the limits on.
func (ns *Namespace) SetSystemMemory(pct int) { ns.sysMemoryPct.Store(int32(pct)) }

// evaluateStopWrites refuses or accepts client writes by the limits, if it is
// time to look at them. Deletes are never refused for them.
func (ns *Namespace) evaluateStopWrites(now record.Time) {
	last := ns.evaluated.Load()
	if uint64(now) < last+uint64(evaluatePeriod) || !ns.evaluated.CompareAndSwap(last, uint64(now)) {
		return // not yet, or another worker does it
	}
	cause := ns.stopCause()
	old := ns.stop.Load()
	if (cause == "") == (old == nil) {
		return
	}
	if cause == "" {
		ns.stop.Store(nil)
		ns.log.Info("writes are accepted again")
		return
	}
	ns.stop.Store(&cause)
	ns.log.Warn("writes are refused", "cause", cause)
}

// stopCause names the first limit that is passed, or is empty.
func (ns *Namespace) stopCause() string {
	o := ns.options.Load()
	s := ns.store.Stats()
	over := func(what string, is int64, sign string, limit string, at int64) string {
		return fmt.Sprintf("%s %d %s %s %d", what, is, sign, limit, at)
	}
	if pct, most := int(ns.sysMemoryPct.Load()), o.StopWritesSysMemoryPct; most != 0 && pct > most {
		return over("system memory used percent", int64(pct), ">", "stop-writes-sys-memory-pct", int64(most))
	}
	if most := o.IndexesMemoryBudget; most != 0 {
		if n := ns.indexBytes(); n > most {
			return over("index bytes", n, ">", "indexes-memory-budget", most)
		}
	}
	if s.DataAvailPct < o.Storage.StopWritesAvailPct {
		return over("data_avail_pct", int64(s.DataAvailPct), "<", "stop-writes-avail-pct", int64(o.Storage.StopWritesAvailPct))
	}
	if most := o.Storage.StopWritesUsedPct; most != 0 && s.DataUsedPct >= most {
		return over("data_used_pct", int64(s.DataUsedPct), ">=", "stop-writes-used-pct", int64(most))
	}
	return ""
}
