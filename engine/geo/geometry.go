package geo

import (
	"encoding/binary"
	"math"

	"github.com/golang/geo/s1"
	"github.com/golang/geo/s2"
)

// Geometry is a parsed point or region.
type Geometry struct {
	point  s2.Point
	region s2.Region // nil: a point
}

// flagRegion is the bit of a stored value's first byte that tells a region
// from a point.
const flagRegion = 1

// storedHead is the size of flags and cell count in front of the cells.
const storedHead = 3

// Parse reads a geometry from its JSON text. It reports false when the text is
// not JSON, not one of the supported types, or not a valid shape: coordinates
// are [longitude, latitude] within ±180 and ±90 degrees; a loop has at least
// four points, the last equal to the first, and does not meet itself; a circle
// is smaller than the globe. A nil o means DefaultOptions.
func Parse(text []byte, o *Options) (Geometry, bool) {
	if o == nil {
		o = &defaultOptions
	}
	s := scanner{text: text}
	top, ok := s.document()
	if !ok {
		return Geometry{}, false
	}
	if top.is(top.typ, "Feature") {
		top, ok = s.members(top.geometry)
		if !ok {
			return Geometry{}, false
		}
	}
	return build(&s, top, o)
}

// build makes the geometry of an object that is not a Feature.
func build(s *scanner, m members, o *Options) (Geometry, bool) {
	s.at = m.coordinates
	if s.at < 0 {
		return Geometry{}, false
	}
	switch {
	case m.is(m.typ, "Point"):
		p, ok := s.position()
		return Geometry{point: p}, ok
	case m.is(m.typ, "Polygon"):
		p, ok := s.polygon()
		return Geometry{region: p}, ok
	case m.is(m.typ, "MultiPolygon"):
		union := s2.RegionUnion{}
		ok := s.array(func() bool {
			p, ok := s.polygon()
			union = append(union, p)
			return ok
		})
		return Geometry{region: union}, ok
	case m.is(m.typ, "AeroCircle"):
		c, ok := s.circle(float64(o.EarthRadius))
		return Geometry{region: c}, ok
	}
	return Geometry{}, false
}

// position reads [longitude, latitude].
func (s *scanner) position() (s2.Point, bool) {
	var at [2]float64
	n := 0
	ok := s.array(func() bool {
		v, ok := s.number()
		if !ok || n == len(at) {
			return false
		}
		at[n] = v
		n++
		return true
	})
	if !ok || n != 2 || math.Abs(at[0]) > 180 || math.Abs(at[1]) > 90 {
		return s2.Point{}, false
	}
	return s2.PointFromLatLng(s2.LatLngFromDegrees(at[1], at[0])), true
}

// circle reads [[longitude, latitude], radius in metres].
func (s *scanner) circle(earthRadius float64) (s2.Cap, bool) {
	var centre s2.Point
	var radius float64
	n := 0
	ok := s.array(func() bool {
		ok := false
		switch n {
		case 0:
			centre, ok = s.position()
		case 1:
			radius, ok = s.number()
		}
		n++
		return ok
	})
	if !ok || n != 2 {
		return s2.Cap{}, false
	}
	c := s2.CapFromCenterAngle(centre, s1.Angle(radius/earthRadius))
	return c, !c.IsFull()
}

// polygon reads a list of loops. Their direction and order do not matter.
func (s *scanner) polygon() (*s2.Polygon, bool) {
	var loops []*s2.Loop
	ok := s.array(func() bool {
		l, ok := s.loop()
		loops = append(loops, l)
		return ok
	})
	if !ok {
		return nil, false
	}
	return s2.PolygonFromLoops(loops), true
}

// loop reads a closed list of positions.
func (s *scanner) loop() (*s2.Loop, bool) {
	var ps []s2.Point
	n := 0
	var first, last s2.Point
	ok := s.array(func() bool {
		p, ok := s.position()
		if n == 0 {
			first = p
		}
		if n == 0 || p != last {
			ps = append(ps, p)
		}
		last = p
		n++
		return ok
	})
	if !ok || n < 4 || first != last || len(ps) < 4 {
		return nil, false
	}
	l := s2.LoopFromPoints(ps[:len(ps)-1])
	if l.Validate() != nil || meetsItself(l) {
		return nil, false
	}
	l.Normalize()
	return l, true
}

// meetsItself says whether a vertex occurs twice or two edges cross.
func meetsItself(l *s2.Loop) bool {
	seen := make(map[s2.Point]struct{}, l.NumVertices())
	for _, v := range l.Vertices() {
		if _, ok := seen[v]; ok {
			return true
		}
		seen[v] = struct{}{}
	}
	index := s2.NewShapeIndex()
	index.Add(l)
	query := s2.NewCrossingEdgeQuery(index)
	for i := range l.NumEdges() {
		e := l.Edge(i)
		if len(query.Crossings(e.V0, e.V1, l, s2.CrossingTypeInterior)) > 0 {
			return true
		}
	}
	return false
}

// IsRegion tells a region from a point.
func (g Geometry) IsRegion() bool { return g.region != nil }

// Point returns the place of a geometry that is not a region.
func (g Geometry) Point() s2.Point { return g.point }

// Contains says whether a region contains a point; false for two points and
// for two regions, equal or not.
func (g Geometry) Contains(p Geometry) bool {
	if g.region == nil || p.region != nil {
		return false
	}
	return g.region.ContainsPoint(p.point)
}

// Cells returns the cells under which a record's value is indexed: a point's
// leaf cell, or the covering of a region.
func (g Geometry) Cells(o *Options) s2.CellUnion {
	if g.region == nil {
		return s2.CellUnion{s2.CellFromPoint(g.point).ID()}
	}
	if o == nil {
		o = &defaultOptions
	}
	return o.cover(g.region, maxRecordLevel)
}

// QueryCells returns the covering of a region asked for, within the levels of
// the configuration.
func (g Geometry) QueryCells(o *Options) s2.CellUnion {
	if g.region == nil {
		return g.Cells(o)
	}
	if o == nil {
		o = &defaultOptions
	}
	return o.cover(g.region, o.MaxLevel)
}

// AppendStored appends a value in stored form, which is also the wire form:
//
//	byte 0      flags: bit 0 set for a region
//	bytes 1-2   number of cells, big endian
//	8 each      cells, big endian
//	rest        the JSON text as it came
//
// wire is what the client sent: the same form, of which only the text counts.
// It reports false, and returns dst, when it is cut short or the text is not a
// valid geometry.
func AppendStored(dst, wire []byte, o *Options) (out []byte, ok bool) {
	text, ok := Text(wire)
	if !ok {
		return dst, false
	}
	g, ok := Parse(text, o)
	if !ok {
		return dst, false
	}
	cells := g.Cells(o)
	flags := byte(0)
	if g.IsRegion() {
		flags = flagRegion
	}
	dst = binary.BigEndian.AppendUint16(append(dst, flags), uint16(len(cells)))
	for _, c := range cells {
		dst = binary.BigEndian.AppendUint64(dst, uint64(c))
	}
	return append(dst, text...), true
}

// Text returns the JSON text of a value in wire or stored form, or false when
// it is cut short.
func Text(v []byte) ([]byte, bool) {
	if len(v) < storedHead {
		return nil, false
	}
	n := storedHead + 8*int(binary.BigEndian.Uint16(v[1:]))
	if n > len(v) {
		return nil, false
	}
	return v[n:], true
}
