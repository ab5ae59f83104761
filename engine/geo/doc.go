// Package geo understands the geometries that bins hold: points and regions
// written as GeoJSON, and the S2 cells that cover them.
//
//	JSON text ──▶ Parse ──▶ Geometry ──▶ AppendStored ──▶ flags, cells, text (the bin's value)
//	                           └──▶ Cells, Contains (secondary index, expressions)
//
// Accepted are Point, Polygon, MultiPolygon, AeroCircle (the protocol's own: a
// centre and a radius in metres) and Feature around one of them. The package
// is a pure function of its input: no state, any thread. Parsing allocates;
// geometries are not on the path of requests that hold none.
package geo
