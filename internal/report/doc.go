// Package report makes what people look at after a measurement: one HTML page
// that holds everything, plots included, and a JUnit file for CI servers.
//
//	series, histograms ──▶ Plot, Percentiles, HeatMap ──▶ SVG ─┐
//	tables, text ──────────────────────────────────────────────┴─▶ Page.Write ──▶ one file, no network
//
// Who measures decides what is on the page; this package knows no latencies,
// devices or records, only numbers and words.
package report
