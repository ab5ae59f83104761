package report

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/palette/moreland"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	width  = 18 * vg.Centimeter
	height = 8 * vg.Centimeter
)

// inks are the colours of series, told apart by most colour-blind eyes (the
// palette of Okabe and Ito).
var inks = []color.Color{
	color.RGBA{0, 114, 178, 255}, color.RGBA{213, 94, 0, 255}, color.RGBA{0, 158, 115, 255},
	color.RGBA{204, 121, 167, 255}, color.RGBA{86, 180, 233, 255}, color.RGBA{230, 159, 0, 255},
}

// Series is one line of a plot. X and Y have the same length.
type Series struct {
	Name string
	X, Y []float64
}

// Axes says how a plot is scaled and labelled.
type Axes struct {
	Title, X, Y string
	LogX, LogY  bool
	// Limits are values of Y that are drawn as dashed lines.
	Limits []Limit
}

// Limit is a horizontal line with its name.
type Limit struct {
	Name string
	Y    float64
}

// ErrNoData says that there was nothing to draw.
var ErrNoData = errors.New("report: nothing to plot")

// Plot draws series as lines. Points that a logarithmic axis cannot show, and
// values that are not numbers, are left out.
func Plot(a Axes, series ...Series) (SVG, error) {
	p, err := lines(a, series)
	if err != nil {
		return "", err
	}
	for _, l := range a.Limits {
		if a.LogY && l.Y <= 0 {
			continue
		}
		line, err := plotter.NewLine(plotter.XYs{{X: p.X.Min, Y: l.Y}, {X: p.X.Max, Y: l.Y}})
		if err != nil {
			return "", fmt.Errorf("report: %s: limit %s: %w", a.Title, l.Name, err)
		}
		line.Color, line.Dashes = color.Gray{90}, []vg.Length{vg.Points(4), vg.Points(3)}
		p.Add(line)
		p.Legend.Add(l.Name, line)
	}
	return render(p)
}

// lines returns a plot with a line for each series that has points to show.
func lines(a Axes, series []Series) (*plot.Plot, error) {
	p := newPlot(a)
	drawn := false
	for i, s := range series {
		points := visible(a, s)
		if len(points) == 0 {
			continue
		}
		line, err := plotter.NewLine(points)
		if err != nil {
			return nil, fmt.Errorf("report: %s: %s: %w", a.Title, s.Name, err)
		}
		line.Color, line.Width = inks[i%len(inks)], vg.Points(1.2)
		p.Add(line)
		p.Legend.Add(s.Name, line)
		drawn = true
	}
	if !drawn {
		return nil, fmt.Errorf("%s: %w", a.Title, ErrNoData)
	}
	return p, nil
}

// widen gives an axis on which all points coincide some length.
func widen(p *plot.Plot) {
	if p.X.Min == p.X.Max {
		p.X.Max += math.Max(math.Abs(p.X.Max)*0.01, 1e-9)
	}
	if p.Y.Min == p.Y.Max {
		p.Y.Max += math.Max(math.Abs(p.Y.Max)*0.01, 1e-9)
	}
}

func newPlot(a Axes) *plot.Plot {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = a.Title, a.X, a.Y
	p.Title.Padding = vg.Points(6)
	p.Legend.Top, p.Legend.Left = true, true
	if a.LogX {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	if a.LogY {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	p.Add(plotter.NewGrid())
	return p
}

func visible(a Axes, s Series) plotter.XYs {
	var points plotter.XYs
	for i := range min(len(s.X), len(s.Y)) {
		x, y := s.X[i], s.Y[i]
		if math.IsNaN(x) || math.IsNaN(y) || math.IsInf(x, 0) || math.IsInf(y, 0) || a.LogX && x <= 0 || a.LogY && y <= 0 {
			continue
		}
		points = append(points, plotter.XY{X: x, Y: y})
	}
	return points
}

// Percentiles draws latency against percentile, the axis stretched towards
// 100 so that each further nine has the same room. X of a series holds
// percentiles (0 to below 100), Y latencies.
func Percentiles(a Axes, series ...Series) (SVG, error) {
	a.LogX = true
	stretched := make([]Series, len(series))
	for i, s := range series {
		stretched[i] = Series{Name: s.Name, X: make([]float64, len(s.X)), Y: s.Y}
		for j, pct := range s.X {
			stretched[i].X[j] = math.NaN()
			if pct >= 0 && pct < 100 {
				stretched[i].X[j] = 1 / (1 - pct/100)
			}
		}
	}
	p, err := lines(a, stretched)
	if err != nil {
		return "", err
	}
	p.X.Tick.Marker = nines{}
	return render(p)
}

// nines marks a percentile axis at 0, 90, 99, 99.9 ...
type nines struct{}

func (nines) Ticks(low, high float64) []plot.Tick {
	ticks := []plot.Tick{{Value: 1, Label: "0"}, {Value: 2, Label: "50"}}
	for n, v := 1, 10.0; v <= high*1.0001 && n < 12; n, v = n+1, v*10 {
		label := "9" + strings.Repeat("9", n-1)
		switch {
		case n == 1:
			label = "90"
		case n > 2:
			label = "99." + strings.Repeat("9", n-2)
		}
		ticks = append(ticks, plot.Tick{Value: v, Label: label})
	}
	kept := ticks[:0]
	for _, t := range ticks {
		if t.Value >= low*0.9999 {
			kept = append(kept, t)
		}
	}
	return kept
}

// Heat is a matrix of counts over time (columns) and latency (rows).
type Heat struct {
	X      []float64   // time of each column, ascending, evenly spaced
	Y      []float64   // lower edge of each row, ascending; drawn by its number
	Counts [][]float64 // by column, then row
}

// Dims, Z, X and Y make Heat a grid of package plotter.
type heatGrid struct{ h *Heat }

func (g heatGrid) Dims() (c, r int) { return len(g.h.X), len(g.h.Y) }
func (g heatGrid) X(c int) float64  { return g.h.X[c] }
func (g heatGrid) Y(r int) float64  { return float64(r) }
func (g heatGrid) Z(c, r int) float64 {
	if n := g.h.Counts[c][r]; n > 0 {
		return math.Log10(n + 1)
	}
	return math.NaN()
}

// HeatMap draws counts over time and latency as shades, on a logarithmic
// scale; cells with nothing in them stay white. label names a row's edge.
func HeatMap(a Axes, h Heat, label func(y float64) string) (SVG, error) {
	if len(h.X) < 2 || len(h.Y) < 2 {
		return "", fmt.Errorf("%s: %w", a.Title, ErrNoData)
	}
	p := newPlot(a)
	colours := moreland.SmoothBlueRed()
	top := 0.0
	for _, column := range h.Counts {
		for _, n := range column {
			top = math.Max(top, math.Log10(n+1))
		}
	}
	if top == 0 {
		return "", fmt.Errorf("%s: %w", a.Title, ErrNoData)
	}
	colours.SetMin(0)
	colours.SetMax(top)
	m := plotter.NewHeatMap(heatGrid{&h}, colours.Palette(64))
	m.Min, m.Max, m.NaN = 0, top, color.White
	p.Add(m)
	var ticks []plot.Tick
	step := max(1, len(h.Y)/8)
	for r := 0; r < len(h.Y); r += step {
		ticks = append(ticks, plot.Tick{Value: float64(r), Label: label(h.Y[r])})
	}
	p.Y.Tick.Marker = plot.ConstantTicks(ticks)
	return render(p)
}

// render draws a plot and returns the SVG element alone.
func render(p *plot.Plot) (SVG, error) {
	widen(p)
	c := vgsvg.New(width, height)
	p.Draw(draw.New(c))
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return "", fmt.Errorf("report: %w", err)
	}
	text := b.String()
	at := strings.Index(text, "<svg")
	if at < 0 {
		return "", errors.New("report: the plot is not an SVG")
	}
	return SVG(text[at:]), nil
}
