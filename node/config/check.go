package config

import "strings"

// check reports combinations within the file that no value by itself shows to
// be wrong. What needs the running system is for the owners of the settings.
func (r *reader) check() {
	for _, ns := range r.root.sections {
		if ns.def.name != "namespace" {
			continue
		}
		if st := ns.child("storage-engine", ""); st.line != 0 {
			r.checkStorage(st)
		}
	}
}

// checkStorage reports what a storage engine lacks or has too much of.
func (r *reader) checkStorage(s *section) {
	devices, files := s.values["device"], s.values["file"]
	for _, v := range []*setting{devices, files} {
		if v == nil {
			continue
		}
		for _, entry := range v.list {
			if strings.Contains(entry, " ") {
				r.mistake(v.line, "%s: shadow devices are not available in this version", entry)
			}
		}
		if s.word == "memory" {
			r.mistake(v.line, "storage-engine memory with a file or device behind it is not available in this version: use storage-engine device")
		}
	}
	switch {
	case s.word == "memory" && devices == nil && files == nil && s.values["data-size"] == nil:
		r.mistake(s.line, "storage-engine memory: data-size is missing")
	case s.word == "memory":
	case devices == nil && files == nil:
		r.mistake(s.line, "storage-engine device: want a line device or file at least")
	case devices != nil && files != nil:
		r.mistake(max(devices.line, files.line), "storage-engine device: want devices or files, not both")
	case files != nil && s.values["filesize"] == nil:
		r.mistake(files.line, "storage-engine device: a file needs filesize")
	}
	if a, b := s.values["commit-to-device"], s.values["disable-odsync"]; a != nil && b != nil && a.text == "true" && b.text == "true" {
		r.mistake(max(a.line, b.line), "commit-to-device and disable-odsync exclude each other")
	}
}
