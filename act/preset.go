package act

import (
	"fmt"
	"slices"
	"strings"
)

// Preset is a ready-made load.
type Preset struct {
	Name, What string
	Model      Model
	// Reads and Writes are a second and device at a rating of 1x.
	Reads, Writes uint32
	apply         func(*Config)
}

// Presets are the loads that are ready made.
var Presets = []Preset{
	{"act-classic", "records of 1,536 bytes, 128 KiB blocks at random places, as ACT 6 by default", Storage, 2000, 1000, func(*Config) {}},
	{"aerospike-8", "flushes of 1 MiB one after the other into 8 MiB blocks from a free list", Storage, 2000, 1000, func(c *Config) {
		c.LargeBlock, c.WriteBlock = 1<<20, 8<<20
	}},
	{"commit", "each record write goes to the device by itself", Storage, 2000, 1000, func(c *Config) { c.CommitToDevice = true }},
	{"all-flash-index", "a primary index on flash, pages of 4 KiB", Index, 2000, 1000, func(*Config) {}},
}

// FindPreset returns a preset by name.
func FindPreset(name string) (Preset, error) {
	var names []string
	for _, p := range Presets {
		if p.Name == name {
			return p, nil
		}
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return Preset{}, fmt.Errorf("act: preset %q: want one of %s", name, strings.Join(names, ", "))
}

// maxRating bounds a rating so that rates stay within their type.
const maxRating = 10000

// Config returns the preset's load at a rating of x on devices.
func (p Preset) Config(x float64, devices ...string) (Config, error) {
	if !(x > 0 && x <= maxRating) {
		return Config{}, fmt.Errorf("act: rating %v: want more than 0, at most %d", x, maxRating)
	}
	c := DefaultConfig(p.Model)
	p.apply(&c)
	c.Devices = devices
	c.Scale(p, x)
	return c, nil
}

// Scale sets the rates to a rating of x.
func (c *Config) Scale(p Preset, x float64) {
	n := x * float64(max(len(c.Devices), 1))
	c.ReadRate, c.WriteRate = uint32(float64(p.Reads)*n+0.5), uint32(float64(p.Writes)*n+0.5)
}
