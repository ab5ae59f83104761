package bench

import (
	"sync/atomic"
	"time"

	"github.com/ashlardb/ashlar/internal/hist"
)

// measured is what histograms of the generator can tell apart.
var measured = hist.Range{Lowest: time.Microsecond, Highest: time.Minute, Digits: 3}

// recorder is what one loop measures. The loop writes, the reporter reads at
// any time.
type recorder struct {
	response [nOpKinds]*hist.HDR // due to answered; nil for kinds that are not used
	service  [nOpKinds]*hist.HDR // sent to answered; the same histogram in a closed loop
	lateness *hist.HDR           // open loop: how late the generator itself was in sending

	results  [256]atomic.Uint64 // answers by result code
	broken   atomic.Uint64      // operations whose connection failed
	expired  atomic.Uint64      // operations that got no answer in time
	homeless atomic.Uint64      // operations whose partition no node owned, or whose node could not be reached
	late     atomic.Uint64      // operations sent later than MaxLateness through the generator's fault
}

func newRecorder(m *mix, open bool) *recorder {
	r := &recorder{lateness: hist.NewHDR(measured)}
	for _, k := range m.kinds {
		r.response[k] = hist.NewHDR(measured)
		r.service[k] = r.response[k]
		if open {
			r.service[k] = hist.NewHDR(measured)
		}
	}
	return r
}

// answered counts an operation that came to its end in time.
func (r *recorder) answered(kind opKind, result uint8, due, sent, now time.Duration) {
	r.results[result].Add(1)
	r.response[kind].Record(now - due)
	if r.service[kind] != r.response[kind] {
		r.service[kind].Record(now - sent)
	}
}
