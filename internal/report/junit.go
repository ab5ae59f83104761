package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"time"
)

// Case is one check of a JUnit file.
type Case struct {
	Name    string
	Seconds float64
	Failure string // why it failed, empty when it did not
	Skipped string // why it could not be judged, empty when it was
	Error   string // why it could not be run, empty when it could
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Time     string      `xml:"timestamp,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string       `xml:"name,attr"`
	Class   string       `xml:"classname,attr"`
	Seconds string       `xml:"time,attr"`
	Failure *junitReason `xml:"failure"`
	Error   *junitReason `xml:"error"`
	Skipped *junitReason `xml:"skipped"`
}

type junitReason struct {
	Message string `xml:"message,attr"`
}

// JUnit writes checks in the format that CI servers read. at is the time of
// the run.
func JUnit(w io.Writer, suite string, at time.Time, cases []Case) error {
	s := junitSuite{Name: suite, Time: at.UTC().Format("2006-01-02T15:04:05"), Tests: len(cases)}
	for _, c := range cases {
		j := junitCase{Name: c.Name, Class: suite, Seconds: fmt.Sprintf("%.3f", c.Seconds)}
		switch {
		case c.Error != "":
			s.Errors++
			j.Error = &junitReason{c.Error}
		case c.Failure != "":
			s.Failures++
			j.Failure = &junitReason{c.Failure}
		case c.Skipped != "":
			s.Skipped++
			j.Skipped = &junitReason{c.Skipped}
		}
		s.Cases = append(s.Cases, j)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
