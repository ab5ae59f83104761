package cdt_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ashlardb/ashlar/engine/cdt"
	"github.com/ashlardb/ashlar/engine/msgpack"
	"github.com/ashlardb/ashlar/engine/particle"
	"github.com/ashlardb/ashlar/engine/record"
	"github.com/ashlardb/ashlar/internal/assert"
)

// The recorded answers of the original to exact requests are replayed through
// Store, Incr, Append, Prepend, BitsRead …, Read and Modify by a small
// emulation of the record around the bins: a list of bins, the scan of the
// operations and the order of results. Truth is the recording; the emulation
// holds no knowledge of values.

var (
	replayFilter = flag.String("replay", "", "replay only sequences whose name matches this")
	replayShow   = flag.Int("show", 5, "mismatches to print in full")
)

type sequence struct {
	Name  string
	Steps []step
}

type step struct {
	Desc, Req, Resp string
	Mask            [][2]int
}

// sequences calls fn for each sequence of a recording whose name matches.
func sequences(t *testing.T, file string, name *regexp.Regexp, fn func(s sequence)) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "testbed", "vectors", file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReaderSize(z, 1<<20)
	n := 0
	for first := true; ; first = false {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if first {
			continue
		}
		var s sequence
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		if name.MatchString(s.Name) && (*replayFilter == "" || regexp.MustCompile(*replayFilter).MatchString(s.Name)) {
			fn(s)
			n++
		}
	}
	if n == 0 && *replayFilter == "" {
		t.Fatalf("%s: no sequence matches %s", file, name)
	}
}

// message is one request or answer.
type message struct {
	info1, info2, info3 byte
	result              byte
	generation          uint32
	digest, set         string
	ops                 []record.Op
}

func parse(b []byte) (m message, ok bool) {
	if len(b) < 30 {
		return m, false
	}
	b = b[8:]
	m = message{info1: b[1], info2: b[2], info3: b[3], result: b[5], generation: binary.BigEndian.Uint32(b[6:])}
	nFields, nOps := binary.BigEndian.Uint16(b[18:]), binary.BigEndian.Uint16(b[20:])
	b = b[22:]
	for range nFields {
		n := binary.BigEndian.Uint32(b)
		switch b[4] {
		case 1:
			m.set = string(b[5 : 4+n])
		case 4:
			m.digest = string(b[5 : 4+n])
		}
		b = b[4+n:]
	}
	for range nOps {
		n, nameLen := binary.BigEndian.Uint32(b), b[7]
		m.ops = append(m.ops, record.Op{
			Code: record.OpCode(b[4]), Type: record.Type(b[5]), Name: b[8 : 8+nameLen], Value: b[8+uint32(nameLen) : 4+n],
		})
		b = b[4+n:]
	}
	return m, len(b) == 0
}

// bin is one bin of the emulated record.
type bin struct {
	name  string
	value record.Value
}

type rec struct {
	set        string
	generation uint32
	bins       []bin
}

// emulation holds the records of a sequence and answers its requests.
type emulation struct {
	recs map[string]*rec
}

// answer is what the original must have said.
type answer struct {
	result     record.Result
	generation uint32
	ops        []record.Op
}

func (e *emulation) serve(m message) answer {
	r := e.recs[m.digest]
	switch {
	case m.info2&record.Info2Delete != 0:
		if r == nil {
			return answer{result: record.NotFound}
		}
		delete(e.recs, m.digest)
		return answer{}
	case m.info2&record.Info2Write != 0:
		return e.write(m, r)
	case m.info1&record.Info1Read == 0:
		return answer{result: record.Parameter}
	case r == nil:
		return answer{result: record.NotFound}
	}
	return e.read(m, r)
}

func (r *rec) find(name []byte) int {
	return slices.IndexFunc(r.bins, func(b bin) bool { return b.name == string(name) })
}

// get returns a bin's value.
func (r *rec) get(name []byte) (record.Value, bool) {
	if i := r.find(name); i >= 0 {
		return r.bins[i].value, true
	}
	return record.Value{}, false
}

// put sets a bin's value, or removes the bin.
func (r *rec) put(name []byte, v record.Value) {
	v.Bytes = bytes.Clone(v.Bytes)
	i := r.find(name)
	switch {
	case i < 0 && v.Type == record.Null:
	case i < 0:
		r.bins = append(r.bins, bin{string(name), v})
	case v.Type == record.Null:
		last := len(r.bins) - 1
		r.bins[i] = r.bins[last]
		r.bins = r.bins[:last]
	default:
		r.bins[i].value = v
	}
}

func result(code record.OpCode, name []byte, v record.Value) record.Op {
	return record.Op{Code: code, Type: v.Type, Name: name, Value: particle.AppendWire(nil, v)}
}

func (e *emulation) read(m message, r *rec) answer {
	a := answer{generation: r.generation}
	if m.info1&record.Info1NoBins != 0 {
		return a
	}
	if m.info1&record.Info1GetAll != 0 {
		for _, b := range r.bins {
			a.ops = append(a.ops, result(record.OpRead, []byte(b.name), b.value))
		}
		return a
	}
	if len(m.ops) == 0 {
		a.result = record.Parameter
		return a
	}
	for _, op := range m.ops {
		if len(op.Name) > record.MaxBinName || bytes.IndexByte(op.Name, 0) >= 0 {
			return answer{result: record.BinName, generation: r.generation}
		}
		v, has, res := r.readOp(op)
		if res != record.OK {
			return answer{result: res, generation: r.generation}
		}
		if has || m.info2&record.Info2RespondAll != 0 {
			a.ops = append(a.ops, result(op.Code, op.Name, v))
		}
	}
	return a
}

// readOp runs one reading operation.
func (r *rec) readOp(op record.Op) (v record.Value, has bool, res record.Result) {
	old, exists := r.get(op.Name)
	switch op.Code {
	case record.OpRead:
		return old, exists, record.OK
	case record.OpCDTRead:
		v, _, res = cdt.Read(nil, old, exists, op.Value)
	case record.OpBitsRead:
		v, _, res = particle.BitsRead(nil, old, exists, op.Type, op.Value)
	case record.OpHLLRead:
		v, _, res = particle.HLLRead(nil, old, exists, op.Value)
	default:
		return v, false, record.Parameter
	}
	return v, v.Type != record.Null, res
}

// scan checks the operations of a write together.
func scan(m message) record.Result {
	if len(m.ops) == 0 {
		return record.Parameter
	}
	replace := m.info3&(record.Info3CreateOrReplace|record.Info3ReplaceOnly) != 0
	respondAll := m.info2&record.Info2RespondAll != 0
	all, reads, generates := 0, false, false
	for _, op := range m.ops {
		if len(op.Name) > record.MaxBinName || bytes.IndexByte(op.Name, 0) >= 0 {
			return record.BinName
		}
		switch op.Code {
		case record.OpRead:
			if reads = true; len(op.Name) == 0 && m.info1&record.Info1GetAll != 0 {
				if all++; all > 1 || respondAll {
					return record.Parameter
				}
			} else {
				generates = true
			}
		case record.OpCDTRead, record.OpBitsRead, record.OpHLLRead, record.OpExpRead:
			reads, generates = true, true
		case record.OpCDTModify, record.OpHLLModify:
			if generates = true; replace {
				return record.Parameter
			}
		case record.OpWrite:
			if replace && op.Type == record.Null {
				return record.Parameter
			}
		case record.OpIncr, record.OpAppend, record.OpPrepend, record.OpTouch, record.OpDeleteAll, record.OpBitsModify:
			if replace {
				return record.Parameter
			}
		}
	}
	switch {
	case reads && m.info1&record.Info1Read == 0,
		all > 0 && generates,
		m.info1&record.Info1GetAll != 0 && all == 0:
		return record.Parameter
	}
	return record.OK
}

func (e *emulation) write(m message, old *rec) answer {
	if res := scan(m); res != record.OK {
		return answer{result: res}
	}
	must := m.info3&(record.Info3UpdateOnly|record.Info3ReplaceOnly) != 0 ||
		slices.ContainsFunc(m.ops, func(op record.Op) bool { return op.Code == record.OpTouch })
	if old == nil && must {
		return answer{result: record.NotFound}
	}
	r := &rec{set: m.set}
	if old != nil {
		r = &rec{set: old.set, generation: old.generation, bins: slices.Clone(old.bins)}
	}
	fail := func(res record.Result) answer {
		if old == nil {
			return answer{result: res}
		}
		return answer{result: res, generation: old.generation}
	}
	switch {
	case old != nil && m.info2&record.Info2CreateOnly != 0:
		return fail(record.Exists)
	case m.info2&record.Info2Generation != 0 && m.generation != r.generation:
		return fail(record.GenerationMismatch)
	case m.info2&record.Info2GenerationGT != 0 && m.generation <= r.generation:
		return fail(record.GenerationMismatch)
	case old != nil && m.set != old.set:
		return fail(record.Parameter)
	}
	if m.info3&(record.Info3CreateOrReplace|record.Info3ReplaceOnly) != 0 {
		r.bins = nil
	}
	var a answer
	for _, op := range m.ops {
		if res := r.writeOp(&a, m, op); res != record.OK {
			return fail(res)
		}
	}
	if len(r.bins) == 0 {
		if old == nil || len(old.bins) == 0 {
			return fail(record.NotFound)
		}
		delete(e.recs, m.digest)
		return answer{ops: a.ops}
	}
	if r.size() > maxRecordSize {
		return fail(record.TooBig)
	}
	r.generation = r.generation%65535 + 1
	a.generation = r.generation
	e.recs[m.digest] = r
	return a
}

// maxRecordSize is the limit of the namespace that was recorded, in bytes.
const maxRecordSize = 1 << 20

// size returns the stored size of a record without key and void-time.
func (r *rec) size() int {
	n := 39 + 1
	if r.set != "" {
		n += 1 + len(r.set)
	}
	for _, b := range r.bins {
		n += 1 + len(b.name)
		switch b.value.Type {
		case record.Integer:
			n += 3
		case record.Float:
			n += 9
		case record.Bool:
			n += 2
		default:
			n += 5 + len(b.value.Bytes)
		}
	}
	return n
}

// writeOp runs one operation of a write and adds its result to the answer.
func (r *rec) writeOp(a *answer, m message, op record.Op) record.Result {
	old, exists := r.get(op.Name)
	respondAll := m.info2&record.Info2RespondAll != 0
	var v, shown record.Value
	var res record.Result
	show := respondAll
	switch op.Code {
	case record.OpTouch:
		return record.OK
	case record.OpRead:
		if len(op.Name) == 0 && m.info1&record.Info1GetAll != 0 {
			for _, b := range r.bins {
				a.ops = append(a.ops, result(record.OpRead, []byte(b.name), b.value))
			}
			return record.OK
		}
		if exists || respondAll {
			a.ops = append(a.ops, result(op.Code, op.Name, old))
		}
		return record.OK
	case record.OpCDTRead, record.OpBitsRead, record.OpHLLRead:
		v, _, res := r.readOp(op)
		if res == record.OK && (exists || respondAll) {
			a.ops = append(a.ops, result(op.Code, op.Name, v))
		}
		return res
	case record.OpDeleteAll:
		r.bins = nil
	case record.OpWrite:
		if op.Type != record.Null {
			v, _, res = particle.Store(nil, op.Type, op.Value, nil)
		}
		if res == record.OK {
			r.put(op.Name, v)
		}
	case record.OpIncr, record.OpAppend, record.OpPrepend:
		fn := particle.Incr
		if op.Code == record.OpAppend {
			fn = particle.Append
		} else if op.Code == record.OpPrepend {
			fn = particle.Prepend
		}
		if v, _, res = fn(nil, old, exists, op.Type, op.Value, nil); res == record.OK {
			r.put(op.Name, v)
		}
	case record.OpBitsModify:
		if v, _, res = particle.BitsModify(nil, old, exists, op.Type, op.Value); res == record.OK {
			r.put(op.Name, v)
		}
	case record.OpCDTModify:
		if v, shown, _, res = cdt.Modify(nil, old, exists, op.Value); res == record.OK {
			r.put(op.Name, v)
			show = show || shown.Type != record.Null
		}
	case record.OpHLLModify:
		if v, shown, _, res = particle.HLLModify(nil, old, exists, op.Value); res == record.OK {
			r.put(op.Name, v)
			show = show || shown.Type != record.Null
		}
	default:
		res = record.Parameter
	}
	if res == record.OK && show {
		a.ops = append(a.ops, result(op.Code, op.Name, shown))
	}
	return res
}

// differs compares an answer with the recorded one and says how they differ.
func differs(got answer, want message) string {
	if byte(got.result) != want.result {
		return fmt.Sprintf("result %d, want %d", got.result, want.result)
	}
	if got.generation != want.generation {
		return fmt.Sprintf("generation %d, want %d", got.generation, want.generation)
	}
	if g, w := formatOps(got.ops), formatOps(want.ops); g != w {
		return "\n     got  " + g + "\n     want " + w
	}
	return ""
}

// format shows the bins of a record.
func (e *emulation) format(digest string) string {
	var ops []record.Op
	if r := e.recs[digest]; r != nil {
		for _, b := range r.bins {
			ops = append(ops, result(record.OpRead, []byte(b.name), b.value))
		}
	}
	return formatOps(ops)
}

func formatOps(ops []record.Op) string {
	var s strings.Builder
	for _, op := range ops {
		fmt.Fprintf(&s, "%d:%s:%d:%x ", op.Code, op.Name, op.Type, op.Value)
	}
	return s.String()
}

// replay runs the sequences of a file and fails for each answer that differs
// and has no excuse.
//
// With the race detector on, a sample of the random sequences has to do.
func replay(t *testing.T, file, names string, excuse func(e *emulation, m message, got answer, want message) string) {
	t.Helper()
	if assert.Slow && *replayFilter == "" {
		*replayFilter = `[^0-9][0-9]*77`
		defer func() { *replayFilter = "" }()
	}
	var steps, skipped, bad, shown int
	kinds := map[string]int{}
	excuses := map[string]int{}
	e := emulation{recs: map[string]*rec{}} // some sequences go on with the keys of others
	sequences(t, file, regexp.MustCompile(names), func(s sequence) {
		for i, st := range s.Steps {
			req, _ := hex.DecodeString(st.Req)
			resp, _ := hex.DecodeString(st.Resp)
			m, ok := parse(req)
			want, ok2 := parse(resp)
			if !ok || !ok2 {
				skipped++
				continue
			}
			steps++
			before, old := e.format(m.digest), e.recs[m.digest]
			got := e.serve(m)
			diff := differs(got, want)
			if diff == "" {
				continue
			}
			if old != nil {
				e.recs[m.digest] = old
			}
			if why := excuse(&e, m, got, want); why != "" {
				excuses[why]++
				if m.info2&record.Info2Write == 0 {
					continue
				}
				return // what follows in the sequence may depend on it
			}
			bad++
			kinds[kindOf(st.Desc)]++
			if shown < *replayShow {
				shown++
				t.Errorf("%s, step %d: %s\n     bins %s\n     ops  %s\n  %s", s.Name, i, st.Desc, before, formatOps(m.ops), diff)
			}
			return
		}
	})
	t.Logf("%s: %d answers compared, %d messages not parsed, %d sequences differ", file, steps, skipped, bad)
	for _, k := range sorted(excuses) {
		t.Logf("deliberate: %s: %d", k, excuses[k])
	}
	if bad > 0 {
		var table strings.Builder
		for _, k := range sorted(kinds) {
			fmt.Fprintf(&table, "\n%6d  %s", kinds[k], k)
		}
		t.Errorf("%d answers differ, by operation:%s", bad, table.String())
	}
}

func sorted(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int { return m[b] - m[a] })
	return keys
}

var opName = regexp.MustCompile(`[A-Z][A-Z_]{3,}`)

// kindOf names a step by the operations in its description.
func kindOf(desc string) string {
	if names := opName.FindAllString(desc, 3); len(names) > 0 {
		return strings.Join(names, " ")
	}
	return strings.SplitN(desc, "[", 2)[0]
}

func noExcuse(*emulation, message, answer, message) string { return "" }

// permuted says whether two answers differ only in the order of list elements.
func permuted(got answer, want message) bool {
	if byte(got.result) != want.result || len(got.ops) != len(want.ops) {
		return false
	}
	for i, g := range got.ops {
		w := want.ops[i]
		if g.Type != w.Type || !bytes.Equal(g.Value, w.Value) && (g.Type != record.List || !bytes.Equal(sortedBytes(g.Value), sortedBytes(w.Value))) {
			return false
		}
	}
	return true
}

func sortedBytes(p []byte) []byte {
	p = bytes.Clone(p)
	slices.Sort(p)
	return p
}

// differences excuses the deliberate differences, one by one.
func differences(e *emulation, m message, got answer, want message) string {
	if permuted(got, want) {
		return "equal elements that differ in their order markers: the original's sort is not stable"
	}
	for _, op := range m.ops {
		switch {
		case bytes.Contains(op.Value, []byte{0xd4, 0xff, 0x00}):
			return "a wildcard among ordered values: the original finds what its search happens to meet first"
		case op.Code == record.OpCDTModify && bytes.Equal(op.Value, []byte{0x93, 0x24, 0x0c, 0xd4, 0xff, 0x01}):
			return "two mistakes at once, a list that is none and a return type that does not fit: 4 instead of 26"
		case op.Code == record.OpBitsModify && len(op.Value) == 6 && op.Value[4] == 0xa0:
			return "an empty raw value as the bits to combine with: the original takes what follows in memory"
		case op.Code == record.OpHLLRead && bytes.HasPrefix(op.Value, []byte{0x92, 54}) && got.result == 0 && len(got.ops) == 1 && lastBit(got.ops[0], want.ops[0]):
			return "the last bit of a similarity: the original's power function is not correctly rounded there"
		case op.Code == record.OpHLLRead && bytes.HasPrefix(op.Value, []byte{0x92, 53}) && claimsMost(e.recs[m.digest], op):
			return "a sketch that claims 2^64-1 elements: the original's sums wrap around"
		case op.Code == record.OpHLLModify && want.result == 1 && got.result == record.Parameter:
			return "a sketch of more than 64 bits as operand: 4 as anywhere else, instead of 1"
		}
	}
	return ""
}

// claimsMost says whether an operand, or the bin, is a sketch whose cached
// cardinality is the largest number.
func claimsMost(r *rec, op record.Op) bool {
	most := bytes.Repeat([]byte{0xff}, 8)
	v, _ := r.get(op.Name)
	return bytes.Contains(op.Value, most) || bytes.Contains(v.Bytes, most)
}

// lastBit says whether two floats differ in no more than their last bit.
func lastBit(a, b record.Op) bool {
	if a.Type != record.Float || b.Type != record.Float {
		return false
	}
	d := int64(binary.BigEndian.Uint64(a.Value) - binary.BigEndian.Uint64(b.Value))
	return d >= -1 && d <= 1
}

// TestReplaySingle replays the whole-bin writes and simple changes of the
// single-record recording that need nothing of a record but its bins.
func TestReplaySingle(t *testing.T) {
	replay(t, "single.jsonl.gz", `^(list|map|geo|type|scalar|incr|append|prepend)-`, noExcuse)
}

// TestReplayCDT replays the recording of list and map operations.
func TestReplayCDT(t *testing.T) {
	replay(t, "cdt.jsonl.gz", `^[^sa]|^s[^e]|^a[^p]`, differences)
}

// TestReplayBlob replays the recording of bit and sketch operations.
func TestReplayBlob(t *testing.T) {
	replay(t, "blob.jsonl.gz", `^(bits|hll)-`, differences)
}

// TestReplaySelect replays the selections by path that need no expression.
func TestReplaySelect(t *testing.T) {
	replay(t, "cdt.jsonl.gz", `^select`, func(e *emulation, m message, got answer, want message) string {
		if m.ops[len(m.ops)-1].Code == record.OpCDTRead && withExpression(m.ops[len(m.ops)-1].Value) {
			return "an expression in the path"
		}
		return differences(e, m, got, want)
	})
}

// withExpression says whether a step of a selection's path is an expression:
// its type 4 or 0x204 and its value a list.
func withExpression(arg []byte) bool {
	ctx := arg[1+msgpack.Skip(arg[1:]):]
	n := msgpack.Next(ctx)
	p := ctx[n.Head:]
	for range n.Len / 2 {
		t := msgpack.Next(p)
		p = p[msgpack.Skip(p):]
		if (t.Num == 4 || t.Num == 0x204) && msgpack.Next(p).Kind != msgpack.True {
			return true
		}
		p = p[msgpack.Skip(p):]
	}
	return false
}
