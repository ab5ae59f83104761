package geo

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/golang/geo/s2"
)

func TestParse(t *testing.T) {
	const square = `[[0,0],[10,0],[10,10],[0,10],[0,0]]`
	for _, tt := range []struct {
		name, text string
		ok, region bool
	}{
		{"point", `{"type":"Point","coordinates":[-122.4,37.7]}`, true, false},
		{"escaped member name", `{"\u0074ype":"Point","coordinates":[1,2]}`, true, false},
		{"the last of doubled members", `{"type":"x","type":"Point","coordinates":[],"coordinates":[1,2]}`, true, false},
		{"polygon", `{"type":"Polygon","coordinates":[` + square + `]}`, true, true},
		{"no loops", `{"type":"Polygon","coordinates":[]}`, true, true},
		{"two polygons", `{"type":"MultiPolygon","coordinates":[[` + square + `],[` + square + `]]}`, true, true},
		{"circle", `{"type":"AeroCircle","coordinates":[[0,0],3000]}`, true, true},
		{"feature", `{"type":"Feature","geometry":{"type":"Point","coordinates":[1,2]}}`, true, false},
		{"feature in a feature", `{"type":"Feature","geometry":{"type":"Feature","geometry":{"type":"Point","coordinates":[1,2]}}}`, false, false},
		{"circle around the globe", `{"type":"AeroCircle","coordinates":[[0,0],30000000]}`, false, false},
		{"longitude", `{"type":"Point","coordinates":[180.1,0]}`, false, false},
		{"latitude", `{"type":"Point","coordinates":[0,-90.1]}`, false, false},
		{"three coordinates", `{"type":"Point","coordinates":[1,2,3]}`, false, false},
		{"open loop", `{"type":"Polygon","coordinates":[[[0,0],[10,0],[10,10],[0,10]]]}`, false, false},
		{"three points", `{"type":"Polygon","coordinates":[[[0,0],[10,0],[0,0]]]}`, false, false},
		{"crossing itself", `{"type":"Polygon","coordinates":[[[0,0],[10,10],[10,0],[0,10],[0,0]]]}`, false, false},
		{"touching itself", `{"type":"Polygon","coordinates":[[[0,0],[5,5],[10,0],[10,10],[5,5],[0,10],[0,0]]]}`, false, false},
		{"line", `{"type":"LineString","coordinates":[[1,2],[3,4]]}`, false, false},
		{"text after", `{"type":"Point","coordinates":[1,2]} x`, false, false},
		{"leading zero", `{"type":"Point","coordinates":[01,2]}`, false, false},
		{"huge number", `{"type":"Point","coordinates":[1e999,2]}`, false, false},
		{"broken UTF-8", "{\"type\":\"Point\",\"coordinates\":[1,2],\"x\":\"\xff\"}", false, false},
		{"half a surrogate", `{"type":"Point","coordinates":[1,2],"x":"\ud800"}`, false, false},
		{"too deep", `{"type":"Point","coordinates":[1,2],"x":` + strings.Repeat("[", 3000) + strings.Repeat("]", 3000) + `}`, false, false},
		{"cut", `{"type":"Point","coordinates":[1,2`, false, false},
		{"nothing", ``, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, ok := Parse([]byte(tt.text), nil)
			if ok != tt.ok || ok && g.IsRegion() != tt.region {
				t.Errorf("Parse(%s) = region %v, %v, want %v, %v", tt.text, g.IsRegion(), ok, tt.region, tt.ok)
			}
		})
	}
}

func mustParse(t *testing.T, text string) Geometry {
	t.Helper()
	g, ok := Parse([]byte(text), nil)
	if !ok {
		t.Fatalf("Parse(%s) failed", text)
	}
	return g
}

// TestCoveringCovers holds coverings to the exact geometry: every point inside
// a region lies in one of its cells.
func TestCoveringCovers(t *testing.T) {
	for _, text := range []string{
		`{"type":"Polygon","coordinates":[[[0,0],[10,0],[10,10],[0,10],[0,0]],[[2,2],[4,2],[4,4],[2,4],[2,2]]]}`,
		`{"type":"AeroCircle","coordinates":[[3,3],200000]}`,
		`{"type":"MultiPolygon","coordinates":[[[[0,0],[1,0],[0,1],[0,0]]],[[[5,5],[9,5],[5,9],[5,5]]]]}`,
	} {
		g := mustParse(t, text)
		for name, cells := range map[string]s2.CellUnion{"record": g.Cells(nil), "query": g.QueryCells(nil)} {
			if len(cells) > DefaultOptions().MaxCells {
				t.Errorf("%s: %s covering has %d cells", text, name, len(cells))
			}
			inside := 0
			for x := -1.0; x < 11; x += 0.25 {
				for y := -1.0; y < 11; y += 0.25 {
					p := mustParse(t, fmt.Sprintf(`{"type":"Point","coordinates":[%g,%g]}`, x, y))
					if !g.Contains(p) {
						continue
					}
					inside++
					if !cells.ContainsPoint(p.Point()) {
						t.Fatalf("%s: the %s covering lacks (%g, %g)", text, name, x, y)
					}
				}
			}
			if inside == 0 {
				t.Errorf("%s contains no point of the grid", text)
			}
		}
	}
}

func TestContains(t *testing.T) {
	ring := mustParse(t, `{"type":"Polygon","coordinates":[[[0,0],[10,0],[10,10],[0,10],[0,0]],[[2,2],[4,2],[4,4],[2,4],[2,2]]]}`)
	circle := mustParse(t, `{"type":"AeroCircle","coordinates":[[0,0],1000]}`)
	at := func(x, y float64) Geometry {
		return mustParse(t, fmt.Sprintf(`{"type":"Point","coordinates":[%g,%g]}`, x, y))
	}
	degree := 6371000 * math.Pi / 180 // metres
	for _, tt := range []struct {
		name string
		g, p Geometry
		want bool
	}{
		{"inside", ring, at(1, 1), true},
		{"in the hole", ring, at(3, 3), false},
		{"outside", ring, at(11, 1), false},
		{"within the radius", circle, at(0, 999/degree), true},
		{"beyond it", circle, at(0, 1001/degree), false},
		{"two points", at(1, 1), at(1, 1), false},
		{"two regions", ring, ring, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.g.Contains(tt.p); got != tt.want {
				t.Errorf("Contains = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestOptionsValidate(t *testing.T) {
	o := DefaultOptions()
	if err := o.Validate(); err != nil {
		t.Errorf("the defaults are refused: %v", err)
	}
	o = Options{MinLevel: 9, MaxLevel: 31, MaxCells: 0, LevelMod: 4, EarthRadius: 0}
	err := o.Validate()
	for _, name := range []string{"max-level", "max-cells", "level-mod", "earth-radius-meters"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Validate says nothing about %s: %v", name, err)
		}
	}
}

func FuzzAppendStored(f *testing.F) {
	f.Add([]byte("\x00\x00\x00{\"type\":\"Point\",\"coordinates\":[1,2]}"))
	f.Add([]byte("\x00\x00\x00{\"type\":\"Polygon\",\"coordinates\":[[[0,0],[10,0],[10,10],[0,0]]]}"))
	f.Add([]byte("\x00\x00\x00{\"type\":\"AeroCircle\",\"coordinates\":[[0,0],1e3]}"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		if len(wire) > 1<<12 {
			return
		}
		out, ok := AppendStored(nil, wire, nil)
		if !ok {
			return
		}
		again, ok := AppendStored(nil, out, nil)
		if !ok || !bytes.Equal(again, out) {
			t.Fatalf("AppendStored(%q) = %x, and of that %x, %v", wire, out, again, ok)
		}
	})
}
