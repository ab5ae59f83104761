package act

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// outputs are the files that a result is written to, "-" for standard output.
type outputs struct {
	actLog, json, jsonl, hlog, csv, markdown, junit, html string
}

// open opens the files that grow during a run and gives them to o.
func (f *outputs) open(o *Options, stdout io.Writer) (closeFiles func() error, err error) {
	var files []*os.File
	closeFiles = func() error {
		var errs []error
		for _, file := range files {
			errs = append(errs, file.Close())
		}
		return errors.Join(errs...)
	}
	for _, each := range []struct {
		name string
		to   *io.Writer
	}{{f.actLog, &o.ACTLog}, {f.jsonl, &o.JSONL}, {f.hlog, &o.HLog}} {
		switch each.name {
		case "":
		case "-":
			*each.to = stdout
		default:
			file, err := os.Create(each.name)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("act: %w", err), closeFiles())
			}
			files = append(files, file)
			*each.to = file
		}
	}
	return closeFiles, nil
}

// write writes the files that need the whole result, and the text for people
// where standard output is free.
func (f *outputs) write(r *Result, stdout io.Writer) error {
	free := true
	for _, each := range []struct {
		name  string
		write func(io.Writer) error
	}{{f.json, r.Write}, {f.csv, r.WriteCSV}, {f.markdown, r.WriteMarkdown}, {f.junit, r.WriteJUnit}, {f.html, r.WriteHTML}, {f.actLog, nil}, {f.jsonl, nil}, {f.hlog, nil}} {
		free = free && each.name != "-"
		if each.name == "" || each.write == nil {
			continue
		}
		if err := writeFile(each.name, stdout, each.write); err != nil {
			return err
		}
	}
	if free {
		return r.WriteText(stdout)
	}
	return nil
}

// writeFile writes to a file, or to stdout for "-".
func writeFile(name string, stdout io.Writer, write func(io.Writer) error) (err error) {
	if name == "-" {
		return write(stdout)
	}
	file, err := os.Create(name)
	if err != nil {
		return fmt.Errorf("act: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return write(file)
}
