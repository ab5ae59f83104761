package engine

import "github.com/ashlardb/ashlar/engine/record"

// voidTime returns the void-time that a write gives its record, in seconds, 0
// for never: Parameter for a time to live beyond ten years, Forbidden for one
// that nothing would enforce.
func (w *Worker) voidTime(r *Request, live bool) (uint32, record.Result) {
	ttl := r.TTL
	if ttl == record.TTLDontMove {
		if live {
			return r.entry.VoidTime, record.OK
		}
		ttl = record.TTLDefault
	}
	o := w.ns.options.Load()
	switch {
	case ttl == record.TTLNever:
		return 0, record.OK
	case ttl == record.TTLDefault:
		if ttl = w.defaultTTL(r, live, o); ttl == 0 {
			return 0, record.OK
		}
	case ttl > record.TTLMax:
		return 0, record.Parameter
	}
	if o.NsupPeriod == 0 && !o.AllowTTLWithoutNsup {
		return 0, record.Forbidden
	}
	void := r.Now.Seconds() + ttl
	if live && (r.entry.VoidTime == 0 || void < r.entry.VoidTime) {
		if !o.ApplyTTLReductions {
			w.counts.add(cTTLReductionsIgnored)
			return r.entry.VoidTime, record.OK
		}
		w.counts.add(cTTLReductionsApplied)
	}
	return void, record.OK
}

// defaultTTL is the time to live of a write that leaves it to the settings, 0
// for never.
func (w *Worker) defaultTTL(r *Request, live bool, o *Options) uint32 {
	s := w.ns.sets.get(r.entry.SetID)
	if !live {
		s = w.ns.sets.find(r.Set)
	}
	switch ttl := s.options.Load().DefaultTTL; {
	case ttl < 0:
		return 0
	case ttl > 0:
		return uint32(ttl)
	}
	return o.DefaultTTL
}
