package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"
)

// wellFormed fails unless text is XML with as many elements of the name as
// wanted.
func wellFormed(t *testing.T, text, element string, atLeast int) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	n := 0
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		if s, ok := tok.(xml.StartElement); ok && s.Name.Local == element {
			n++
		}
	}
	if n < atLeast {
		t.Errorf("%d elements <%s>, want at least %d", n, element, atLeast)
	}
}

func TestPlot(t *testing.T) {
	s := Series{Name: "p99", X: []float64{0, 1, 2, 3}, Y: []float64{1, 2, 0, math.NaN()}}
	svg, err := Plot(Axes{Title: "Latency", X: "s", Y: "ms", LogY: true, Limits: []Limit{{"1 ms", 1}}}, s)
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, string(svg), "path", 3)
	for _, want := range []string{"Latency", "p99", "1 ms"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("the plot does not say %q", want)
		}
	}
	if _, err := Plot(Axes{LogY: true}, Series{Name: "zeros", X: []float64{1}, Y: []float64{0}}); !errors.Is(err, ErrNoData) {
		t.Errorf("only points that cannot be shown: error %v, want ErrNoData", err)
	}
	if _, err := Plot(Axes{}, Series{Name: "one point", X: []float64{1}, Y: []float64{5}}); err != nil {
		t.Errorf("a single point: %v", err)
	}
}

func TestPercentiles(t *testing.T) {
	svg, err := Percentiles(Axes{Title: "Percentiles", Y: "ms", LogY: true},
		Series{Name: "read", X: []float64{0, 50, 90, 99, 99.9, 100}, Y: []float64{.1, .2, .4, .8, 2, 9}})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{">90<", ">99<", ">99.9<"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("the axis is not marked at %s", strings.Trim(want, "<>"))
		}
	}
}

func TestHeatMap(t *testing.T) {
	h := Heat{X: []float64{0, 1, 2}, Y: []float64{1, 2, 4}, Counts: [][]float64{{5, 0, 0}, {1000, 3, 0}, {0, 0, 1}}}
	svg, err := HeatMap(Axes{Title: "Heat", X: "s"}, h, func(y float64) string { return strconv.Itoa(int(y)) + " ms" })
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, string(svg), "path", 9)
	if !strings.Contains(string(svg), "4 ms") {
		t.Error("rows are not labelled")
	}
	h.Counts = [][]float64{{0, 0, 0}, {0, 0, 0}, {0, 0, 0}}
	if _, err := HeatMap(Axes{}, h, func(float64) string { return "" }); !errors.Is(err, ErrNoData) {
		t.Errorf("nothing but zeros: error %v, want ErrNoData", err)
	}
}

func TestPage(t *testing.T) {
	svg, err := Plot(Axes{Title: "T"}, Series{Name: "s", X: []float64{1, 2}, Y: []float64{1, 2}})
	if err != nil {
		t.Fatal(err)
	}
	p := Page{
		Title: "Run of <one> & two", Badge: "PASS", Good: true, Lead: "It went well.",
		Sections: []Section{{
			Heading: "Latency", Text: []string{"In ms."}, Plots: []SVG{svg},
			Table: &Table{Header: []string{"operation", "p99"}, Rows: [][]string{{"read", "1.5"}, {"<script>", "2"}}},
		}},
	}
	var b bytes.Buffer
	if err := p.Write(&b); err != nil {
		t.Fatal(err)
	}
	html := b.String()
	for _, want := range []string{"Run of &lt;one&gt; &amp; two", "badge good", "<svg", "&lt;script&gt;", "1.5"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, banned := range []string{"<script>", "http-equiv", "src=", "@import", "href="} {
		if strings.Contains(html, banned) {
			t.Errorf("the page has %q: it must need nothing from elsewhere", banned)
		}
	}
}

func TestJUnit(t *testing.T) {
	var b bytes.Buffer
	err := JUnit(&b, "bench", time.Unix(0, 0), []Case{
		{Name: "p99>+10%", Failure: "p99 is <twice> the base's"}, {Name: "rate", Seconds: 1.5}, {Name: "p50", Skipped: "noise"}, {Name: "run", Error: "gone"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Errors   int `xml:"errors,attr"`
		Skipped  int `xml:"skipped,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Failure *struct {
				Message string `xml:"message,attr"`
			} `xml:"failure"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(b.Bytes(), &back); err != nil {
		t.Fatal(err)
	}
	if back.Tests != 4 || back.Failures != 1 || back.Errors != 1 || back.Skipped != 1 {
		t.Errorf("counts %+v, want 4 tests, one of each other", back)
	}
	if back.Cases[0].Failure == nil || back.Cases[0].Failure.Message != "p99 is <twice> the base's" || back.Cases[1].Failure != nil {
		t.Errorf("failures are on the wrong cases: %+v", back.Cases)
	}
}
