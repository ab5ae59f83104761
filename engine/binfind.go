package engine

import "github.com/ashlardb/ashlar/engine/record"

// fewBins is up to how many bins a record's bins are searched one by one. Above
// it a table is made, so that a message of 32,768 operations on a record of
// 32,767 bins takes time in proportion to their sum, not their product.
const fewBins = 64

// binFinder finds bins by name among those of the request at hand. The table is
// made at the first search that needs it and follows changes made through
// setBin and dropBin. Invariant: while n > 0, at holds exactly the names of
// the request's n bins.
type binFinder struct {
	at map[binKey]int32 // by name: the bin's number
	n  int              // bins in the table, 0 when there is none
}

// binKey is a bin's name as a map's key: its bytes and, last, its length.
type binKey [record.MaxBinName + 1]byte

func keyOf(name []byte) (k binKey) {
	copy(k[:record.MaxBinName], name)
	k[record.MaxBinName] = byte(len(name))
	return k
}

// forget drops the table: the next request has other bins.
func (f *binFinder) forget() { f.n = 0 }

// find returns where a bin is, or -1.
func (f *binFinder) find(bins []record.NamedValue, name []byte) int {
	if len(bins) <= fewBins {
		f.forget()
		for i := range bins {
			if string(bins[i].Name) == string(name) {
				return i
			}
		}
		return -1
	}
	if f.n != len(bins) {
		f.fill(bins)
	}
	if len(name) > record.MaxBinName {
		return -1
	}
	if i, ok := f.at[keyOf(name)]; ok {
		return int(i)
	}
	return -1
}

func (f *binFinder) fill(bins []record.NamedValue) {
	if f.at == nil {
		f.at = make(map[binKey]int32)
	}
	clear(f.at)
	for i := range bins {
		f.at[keyOf(bins[i].Name)] = int32(i)
	}
	f.n = len(bins)
}

// added notes that a bin has become the last one.
func (f *binFinder) added(name []byte) {
	if f.n > 0 {
		f.at[keyOf(name)] = int32(f.n)
		f.n++
	}
}

// dropped notes that bin i, called name, is gone and the last one, called
// moved, has its place.
func (f *binFinder) dropped(i int, name, moved []byte) {
	if f.n > 0 {
		f.at[keyOf(moved)] = int32(i)
		delete(f.at, keyOf(name))
		f.n--
	}
}
