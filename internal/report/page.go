package report

import (
	"html/template"
	"io"
)

// SVG is a picture as text that is safe to stand in an HTML page.
type SVG = template.HTML

// Page is a report.
type Page struct {
	Title    string
	Badge    string // a short word in a coloured box beside the title, such as PASS
	Good     bool   // colours the badge
	Lead     string // the first paragraph
	Sections []Section
}

// Section is a part of a page under its own heading. Everything but the
// heading may be empty.
type Section struct {
	Heading string
	Text    []string // paragraphs
	Table   *Table
	Plots   []SVG
}

// Table is a table with a header row. Columns after the first are numbers and
// stand on the right.
type Table struct {
	Header []string
	Rows   [][]string
}

// Write writes the page as one file that needs no other.
func (p *Page) Write(w io.Writer) error { return page.Execute(w, p) }

var page = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2330; background: #fff; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .3rem; } h2 { font-size: 1.1rem; margin-top: 2rem; border-bottom: 1px solid #d8dce4; }
.badge { font-size: .9rem; padding: .15rem .6rem; border-radius: .3rem; color: #fff; background: #b3261e; vertical-align: middle; }
.badge.good { background: #1b7f3b; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #e6e9ef; } th:first-child, td:first-child { text-align: left; }
th { font-weight: 600; background: #f4f6f9; } svg { max-width: 100%; height: auto; display: block; margin: .8rem 0; }
</style>
</head>
<body>
<h1>{{.Title}}{{if .Badge}} <span class="badge{{if .Good}} good{{end}}">{{.Badge}}</span>{{end}}</h1>
{{if .Lead}}<p>{{.Lead}}</p>{{end}}
{{range .Sections}}<section>
<h2>{{.Heading}}</h2>
{{range .Text}}<p>{{.}}</p>
{{end}}{{with .Table}}<table>
<thead><tr>{{range .Header}}<th>{{.}}</th>{{end}}</tr></thead>
<tbody>
{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{end}}</tbody>
</table>
{{end}}{{range .Plots}}<figure>{{.}}</figure>
{{end}}</section>
{{end}}</body>
</html>
`))
