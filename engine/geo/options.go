package geo

import (
	"errors"
	"fmt"

	"github.com/golang/geo/s2"
)

// Options is a namespace's geo2dsphere-within section. DefaultOptions has the
// values of a configuration that says nothing.
type Options struct {
	// MinLevel and MaxLevel bound the cells of a query's covering, 0 (a sixth
	// of the globe) to 30 (a square centimetre). A record's covering always
	// goes down to 30, so that a small region is indexed tightly.
	MinLevel int `config:"min-level" default:"1"`
	MaxLevel int `config:"max-level" default:"20"`

	// MaxCells is the number of cells that a covering aims at, 1 to 256.
	MaxCells int `config:"max-cells" default:"12"`

	// LevelMod makes coverings use every LevelMod-th level, 1 to 3.
	LevelMod int `config:"level-mod" default:"1"`

	// Strict makes queries check candidates against the exact geometry.
	Strict bool `config:"strict" default:"true"`

	// EarthRadius turns the radius of a circle, in metres, into an angle.
	EarthRadius int `config:"earth-radius-meters" default:"6371000"`
}

// maxRecordLevel is the smallest cell size of a record's covering.
const maxRecordLevel = 30

var defaultOptions = DefaultOptions()

// DefaultOptions returns the original's defaults.
func DefaultOptions() Options {
	return Options{MinLevel: 1, MaxLevel: 20, MaxCells: 12, LevelMod: 1, Strict: true, EarthRadius: 6371000}
}

// Validate reports every value that is out of range, by its configuration name.
func (o *Options) Validate() error {
	var errs []error
	check := func(name string, v, lo, hi int) {
		if v < lo || v > hi {
			errs = append(errs, fmt.Errorf("geo2dsphere-within %s %d: want %d to %d", name, v, lo, hi))
		}
	}
	check("min-level", o.MinLevel, 0, 30)
	check("max-level", o.MaxLevel, 0, 30)
	check("max-cells", o.MaxCells, 1, 256)
	check("level-mod", o.LevelMod, 1, 3)
	check("earth-radius-meters", o.EarthRadius, 1, 1<<31-1)
	if o.MinLevel > o.MaxLevel {
		errs = append(errs, fmt.Errorf("geo2dsphere-within min-level %d: want at most max-level %d", o.MinLevel, o.MaxLevel))
	}
	return errors.Join(errs...)
}

// cover returns a region's covering by cells of at most maxLevel.
func (o *Options) cover(region s2.Region, maxLevel int) s2.CellUnion {
	c := coverer{minLevel: o.MinLevel, maxLevel: maxLevel, levelMod: o.LevelMod, maxCells: o.MaxCells}
	return c.cover(region)
}
