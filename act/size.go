package act

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"
)

// Plan is a workload and the hardware that it is to run on.
type Plan struct {
	Objects     float64 `json:"objects"`
	SetBytes    int     `json:"set_name_bytes"` // 0: no set
	KeyBytes    int     `json:"key_bytes"`      // stored keys, type byte included; 0: not stored
	Bins        int     `json:"bins"`
	BinName     int     `json:"bin_name_bytes"`
	ValueBytes  int     `json:"value_bytes"` // of a string or blob, each bin
	TTL         bool    `json:"ttl"`
	RecordBytes int     `json:"record_bytes"` // above 0: in place of all this

	Reads       float64 `json:"reads_per_second"`
	Writes      float64 `json:"writes_per_second"`
	UpdatePct   float64 `json:"update_pct"`
	Replication int     `json:"replication_factor"`
	DefragLWM   float64 `json:"defrag_lwm_pct"`
	Fill        float64 `json:"target_fill"` // share of the drives that holds data
	Nodes       int     `json:"nodes"`
	Spare       int     `json:"spare_nodes"` // that may fail with all data kept in full

	DriveBytes float64 `json:"drive_bytes"`
	RatingX    float64 `json:"rating_x"` // of one drive
	Headroom   float64 `json:"headroom"` // share of the rating that is used
	TBW        float64 `json:"tbw"`      // drive endurance in TB, 0: unknown
	DWPD       float64 `json:"dwpd"`     // drive writes a day over 5 years, 0: unknown
}

// Sized is what a plan needs.
type Sized struct {
	Plan           Plan    `json:"plan"`
	RecordBytes    int     `json:"record_bytes_on_device"`
	DataBytes      float64 `json:"data_bytes"`   // all copies
	DeviceBytes    float64 `json:"device_bytes"` // with room for defrag and failed nodes
	IndexBytes     float64 `json:"index_memory_bytes"`
	BufferBytes    float64 `json:"buffer_memory_bytes"`
	MemoryPerNode  float64 `json:"memory_per_node_bytes"`
	Amplification  float64 `json:"write_amplification"`
	DeviceReads    float64 `json:"device_reads_per_second"`
	DeviceWritten  float64 `json:"device_written_bytes_per_second"`
	DrivesCapacity int     `json:"drives_for_capacity"`
	DrivesRate     int     `json:"drives_for_rate"`
	Drives         int     `json:"drives"` // a whole number on each node
	DrivesPerNode  int     `json:"drives_per_node"`
	Bound          string  `json:"bound_by"`
	DrivesX        float64 `json:"rating_needed_x"` // of one drive, as planned
	DWPDNeeded     float64 `json:"dwpd_needed"`
	Years          float64 `json:"years,omitempty"` // until the endurance is spent
}

// Figures of a node's memory and devices.
const (
	indexEntry     = 64 // bytes of an index entry
	indexStage     = 1 << 30
	recordFixed    = 39
	recordSmallest = 48
	driveHeader    = 8 << 20
	driveReserve   = 8 * (8 << 20)
	postWriteCache = 256 << 20
	writeBuffers   = 5*(8<<20) + 64<<20 // current buffers and the queue of full ones
	readsPerX      = 2000
	writtenPerX    = 1000 * 1536 * 2 // bytes a second and drive of 1x, defrag's included
	yearDays       = 365.25
)

func (p *Plan) validate() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, each := range []struct {
		name           string
		v, least, most float64
	}{
		{"objects", p.Objects, 1, 1e15}, {"reads", p.Reads, 0, 1e12}, {"writes", p.Writes, 0, 1e12}, {"update-pct", p.UpdatePct, 0, 100},
		{"replication-factor", float64(p.Replication), 1, 256}, {"defrag-lwm-pct", p.DefragLWM, 1, 99}, {"fill", p.Fill, 0.01, 1},
		{"nodes", float64(p.Nodes), 1, 256}, {"spare-nodes", float64(p.Spare), 0, float64(p.Nodes - 1)}, {"drive-bytes", p.DriveBytes, 1 << 30, 1e18},
		{"rating", p.RatingX, 0.001, maxRating}, {"headroom", p.Headroom, 0.01, 1}, {"bins", float64(p.Bins), 1, 32767}, {"value-bytes", float64(p.ValueBytes), 0, maxRecordBytes},
		{"bin-name-bytes", float64(p.BinName), 1, 15}, {"set-name-bytes", float64(p.SetBytes), 0, 63}, {"key-bytes", float64(p.KeyBytes), 0, maxRecordBytes}, {"record-bytes", float64(p.RecordBytes), 0, maxRecordBytes},
		{"tbw", p.TBW, 0, 1e9}, {"dwpd", p.DWPD, 0, 1e3},
	} {
		if !(each.v >= each.least && each.v <= each.most) {
			fail("%s %v: want %v to %v", each.name, each.v, each.least, each.most)
		}
	}
	if p.Replication > p.Nodes-p.Spare {
		fail("%d copies on %d nodes of which %d may fail: want as many nodes as copies", p.Replication, p.Nodes, p.Spare)
	}
	return errors.Join(errs...)
}

// recordSize returns what a record takes on a device.
func (p *Plan) recordSize() int {
	if p.RecordBytes > 0 {
		return roundUp(max(p.RecordBytes, recordSmallest), storedGrain)
	}
	n := recordFixed + uvarintLen(p.Bins) + p.Bins*(1+p.BinName+5+p.ValueBytes)
	if p.TTL {
		n += 4
	}
	if p.SetBytes > 0 {
		n += 1 + p.SetBytes
	}
	if p.KeyBytes > 0 {
		n += uvarintLen(p.KeyBytes) + p.KeyBytes
	}
	return max(recordSmallest, roundUp(n, storedGrain))
}

func uvarintLen(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// Size plans capacity.
func (p Plan) Size() (Sized, error) {
	if err := p.validate(); err != nil {
		return Sized{}, fmt.Errorf("act: size: %w", err)
	}
	s := Sized{Plan: p, RecordBytes: p.recordSize()}
	copies, nodes := float64(p.Replication), float64(p.Nodes)
	left := nodes - float64(p.Spare) // nodes that must be able to hold all
	s.DataBytes = float64(s.RecordBytes) * copies * p.Objects
	s.DeviceBytes = s.DataBytes / p.Fill * nodes / left
	s.Amplification = 100 / (100 - p.DefragLWM)
	s.DeviceReads = p.Reads + p.Writes*p.UpdatePct/100
	s.DeviceWritten = p.Writes * copies * float64(s.RecordBytes) * s.Amplification

	usable := p.DriveBytes - driveHeader - driveReserve
	s.DrivesCapacity = int(math.Ceil(s.DeviceBytes / usable))
	// Of 1x a drive does its reads and, with them, the blocks of its writes.
	need := max(s.DeviceReads/readsPerX, s.DeviceWritten/writtenPerX) * nodes / left
	s.DrivesRate = int(math.Ceil(need / (p.RatingX * p.Headroom)))
	s.Bound = "capacity"
	if s.DrivesRate > s.DrivesCapacity {
		s.Bound = "rate"
	}
	s.DrivesPerNode = int(math.Ceil(float64(max(s.DrivesCapacity, s.DrivesRate, 1)) / nodes))
	s.Drives = s.DrivesPerNode * p.Nodes
	s.DrivesX = need / float64(s.Drives)

	perNode := indexEntry * copies * p.Objects / left
	s.IndexBytes = math.Ceil(perNode/indexStage) * indexStage * nodes
	s.BufferBytes = float64(s.Drives) * (postWriteCache + writeBuffers)
	s.MemoryPerNode = (s.IndexBytes + s.BufferBytes) / nodes
	perDay := s.DeviceWritten * 86400 / float64(s.Drives)
	s.DWPDNeeded = perDay / p.DriveBytes
	endurance := p.TBW * 1e12
	if endurance == 0 {
		endurance = p.DWPD * p.DriveBytes * 5 * yearDays
	}
	if endurance > 0 && perDay > 0 {
		s.Years = endurance / perDay / yearDays
	}
	return s, nil
}

// WriteText writes the plan for people.
func (s *Sized) WriteText(w io.Writer) error {
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-28s %s\n", name, fmt.Sprintf(format, args...))
	}
	p := &s.Plan
	row("record on device", "%d bytes, %d copies", s.RecordBytes, p.Replication)
	row("data", "%s, of drives %s with %.0f %% fill and %d nodes that may fail", bytesText(s.DataBytes), bytesText(s.DeviceBytes), 100*p.Fill, p.Spare)
	row("device load", "%.0f reads a second, %s a second written (amplification %.2f)", s.DeviceReads, bytesText(s.DeviceWritten), s.Amplification)
	row("drives", "%d: %d on each of %d nodes, bound by %s", s.Drives, s.DrivesPerNode, p.Nodes, s.Bound)
	row("  for capacity", "%d of %s", s.DrivesCapacity, bytesText(p.DriveBytes))
	row("  for rate", "%d of %gx, used to %.0f %%; as planned each is loaded with %.2fx", s.DrivesRate, p.RatingX, 100*p.Headroom, s.DrivesX)
	row("memory", "%s on each node: index %s, buffers %s in all", bytesText(s.MemoryPerNode), bytesText(s.IndexBytes), bytesText(s.BufferBytes))
	row("endurance", "%.2f drive writes a day", s.DWPDNeeded)
	if s.Years > 0 {
		row("  lasts", "%.1f years", s.Years)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func bytesText(n float64) string {
	for _, u := range []struct {
		size float64
		name string
	}{{1e15, "PB"}, {1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}} {
		if n >= u.size {
			return fmt.Sprintf("%.2f %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%.0f B", n)
}

// SizeCommand returns "ashlar size".
func SizeCommand() *cobra.Command {
	var p Plan
	var rating, asJSON string
	c := &cobra.Command{
		Use:   "size",
		Short: "Plan drives and memory for a workload",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if rating != "" {
				r, err := readRating(rating)
				if err != nil {
					return usage(err)
				}
				p.RatingX = r.X
				if len(r.Drives) > 0 && !c.Flags().Changed("drive-bytes") {
					p.DriveBytes = float64(r.Drives[0].Size)
				}
			}
			s, err := p.Size()
			if err != nil {
				return usage(err)
			}
			if asJSON != "-" {
				if err := s.WriteText(c.OutOrStdout()); err != nil {
					return usage(err)
				}
			}
			if asJSON == "" {
				return nil
			}
			return usage(writeFile(asJSON, c.OutOrStdout(), func(w io.Writer) error { return writeJSON(w, s) }))
		},
	}
	asUsage(c)
	f := c.Flags()
	f.Float64Var(&p.Objects, "objects", 1e9, "records")
	f.IntVar(&p.RecordBytes, "record-bytes", 0, "of a record on a device (0: from the figures below)")
	f.IntVar(&p.SetBytes, "set-name-bytes", 0, "length of the set's name (0: no set)")
	f.IntVar(&p.KeyBytes, "key-bytes", 0, "of a stored key with its type (0: keys are not stored)")
	f.IntVar(&p.Bins, "bins", 1, "of a record")
	f.IntVar(&p.BinName, "bin-name-bytes", 3, "length of a bin's name")
	f.IntVar(&p.ValueBytes, "value-bytes", 1000, "of each bin's string or blob")
	f.BoolVar(&p.TTL, "ttl", false, "records expire")
	f.Float64Var(&p.Reads, "reads", 0, "of clients a second")
	f.Float64Var(&p.Writes, "writes", 0, "of clients a second")
	f.Float64Var(&p.UpdatePct, "update-pct", 0, "share of writes that read first")
	f.IntVar(&p.Replication, "replication-factor", 2, "copies")
	f.Float64Var(&p.DefragLWM, "defrag-lwm-pct", 50, "defrag level")
	f.Float64Var(&p.Fill, "fill", 0.5, "share of the drives that may hold data")
	f.IntVar(&p.Nodes, "nodes", 3, "of the cluster")
	f.IntVar(&p.Spare, "spare-nodes", 1, "that may fail with all copies kept")
	f.Float64Var(&p.DriveBytes, "drive-bytes", 1.92e12, "size of a drive")
	f.Float64Var(&p.RatingX, "rating", 30, "of a drive, times 2000 reads and 1000 writes a second")
	f.StringVar(&rating, "rating-file", "", "take rating and size from what act rate --json wrote")
	f.Float64Var(&p.Headroom, "headroom", 0.7, "share of the rating that is used")
	f.Float64Var(&p.TBW, "tbw", 0, "endurance of a drive in TB written")
	f.Float64Var(&p.DWPD, "dwpd", 0, "endurance of a drive in drive writes a day over 5 years")
	f.StringVar(&asJSON, "json", "", "write the plan as JSON (- for standard output, in place of text)")
	return c
}
