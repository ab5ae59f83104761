package crash

import (
	"errors"
	"fmt"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	as "github.com/aerospike/aerospike-client-go/v8"
	"github.com/aerospike/aerospike-client-go/v8/types"
)

// wantCode checks which error a call came back with.
func wantCode(t *testing.T, what string, err error, want types.ResultCode) {
	t.Helper()
	var answer as.Error
	if !errors.As(err, &answer) || !answer.Matches(want) {
		t.Errorf("%s: %v, want code %d", what, err, want)
	}
}

// TestRoundTrips does what an application does first.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	p := start(t, configure(t, dataDir(t), settings{flushMax: time.Second}))
	c := p.connect()
	k := key(t, "one")

	bins := as.BinMap{
		"int": -5, "float": 2.5, "text": "grüezi", "blob": []byte{0, 1, 255}, "yes": true, "no": false,
		"list": []any{1, "two", []any{3}}, "map": map[any]any{"a": 1, 2: "b"},
	}
	if err := c.Put(nil, k, bins); err != nil {
		t.Fatalf("put: %v", err)
	}
	rec, err := c.Get(nil, k)
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	for name, want := range bins {
		if got := rec.Bins[name]; !reflect.DeepEqual(got, want) {
			t.Errorf("bin %s: %#v, want %#v", name, got, want)
		}
	}
	if len(rec.Bins) != len(bins) || rec.Generation != 1 {
		t.Errorf("%d bins of generation %d, want %d of 1", len(rec.Bins), rec.Generation, len(bins))
	}

	if rec, err = c.Get(nil, k, "int", "absent"); err != nil || len(rec.Bins) != 1 {
		t.Errorf("get of one bin and one that is absent: %v, %v", rec, err)
	}
	rec, err = c.Operate(nil, k, as.AddOp(as.NewBin("int", 8)), as.AppendOp(as.NewBin("text", "!")),
		as.PrependOp(as.NewBin("text", "> ")), as.GetBinOp("int"), as.GetBinOp("text"))
	if err != nil || rec.Bins["int"] != 3 || rec.Bins["text"] != "> grüezi!" {
		t.Errorf("operate: %v, %v", rec, err)
	}

	policy := as.NewWritePolicy(99, 0)
	policy.GenerationPolicy = as.EXPECT_GEN_EQUAL
	wantCode(t, "put with a wrong generation", c.Put(policy, k, as.BinMap{"x": 1}), types.GENERATION_ERROR)
	policy = as.NewWritePolicy(0, 0)
	policy.RecordExistsAction = as.CREATE_ONLY
	wantCode(t, "create of what is there", c.Put(policy, k, as.BinMap{"x": 1}), types.KEY_EXISTS_ERROR)
	policy.RecordExistsAction = as.REPLACE_ONLY
	wantCode(t, "replace of what is not there", c.Put(policy, key(t, "none"), as.BinMap{"x": 1}), types.KEY_NOT_FOUND_ERROR)
	_, err = c.Operate(nil, k, as.AddOp(as.NewBin("text", 1)))
	wantCode(t, "add to a text", err, types.BIN_TYPE_ERROR)

	policy = as.NewWritePolicy(0, 0)
	policy.SendKey = true
	policy.RecordExistsAction = as.REPLACE
	if err := c.Put(policy, k, as.BinMap{"x": 1}); err != nil {
		t.Errorf("replace: %v", err)
	}
	if rec, err = c.Get(nil, k); err != nil || len(rec.Bins) != 1 || rec.Bins["x"] != 1 {
		t.Errorf("after replace: %v, %v", rec, err)
	}
	if err := c.Touch(as.NewWritePolicy(0, 500), k); err != nil {
		t.Errorf("touch: %v", err)
	}
	if rec, err = c.GetHeader(nil, k); err != nil || rec.Expiration == 0 || rec.Expiration > 500 {
		t.Errorf("header after a touch with 500 s: %v, %v", rec, err)
	}
	if there, err := c.Exists(nil, k); err != nil || !there {
		t.Errorf("exists: %v, %v", there, err)
	}
	if was, err := c.Delete(nil, k); err != nil || !was {
		t.Errorf("delete: %v, %v", was, err)
	}
	if was, err := c.Delete(nil, k); err != nil || was {
		t.Errorf("delete again: %v, %v", was, err)
	}
	_, err = c.Get(nil, k)
	wantCode(t, "get after delete", err, types.KEY_NOT_FOUND_ERROR)

	other, err := as.NewKey("nowhere", "s", 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(nil, other); err == nil {
		t.Error("get from a namespace that does not exist: no error")
	}
	c.Close()
	p.stop()
}

// TestCompressedWrites: the client packs large messages when asked.
func TestCompressedWrites(t *testing.T) {
	t.Parallel()
	p := start(t, configure(t, dataDir(t), settings{flushMax: time.Second}))
	c := p.connect()
	policy := as.NewWritePolicy(0, 0)
	policy.UseCompression = true
	want := strings.Repeat("squeeze me ", 1000)
	k := key(t, "packed")
	if err := c.Put(policy, k, as.BinMap{"a": want}); err != nil {
		t.Fatalf("compressed put: %v", err)
	}
	rec, err := c.Get(nil, k)
	if err != nil || rec.Bins["a"] != want {
		t.Errorf("get: %v", err)
	}
	c.Close()
	p.stop()
}

// TestRestart: a node that was stopped in order has everything, and what was
// deleted stays so.
func TestRestart(t *testing.T) {
	t.Parallel()
	conf := configure(t, dataDir(t), settings{flushMax: time.Second})
	p := start(t, conf)
	c := p.connect()
	const n = 1000
	for i := range n {
		if err := c.Put(nil, key(t, fmt.Sprint(i)), as.BinMap{"v": i, "fill": strings.Repeat("x", i%700)}); err != nil {
			t.Fatalf("put %d: %v", i, err)
		}
		if i%3 == 0 {
			if _, err := c.Delete(nil, key(t, fmt.Sprint(i/2))); err != nil {
				t.Fatalf("delete %d: %v", i/2, err)
			}
		}
	}
	c.Close()
	for range 2 {
		p.stop()
		p = start(t, conf)
		c = p.connect()
		for i := range n {
			deleted := 2*i < n && (2*i%3 == 0 || (2*i+1)%3 == 0 && 2*i+1 < n)
			rec, err := c.Get(nil, key(t, fmt.Sprint(i)))
			switch {
			case deleted:
				wantCode(t, fmt.Sprintf("get of deleted %d", i), err, types.KEY_NOT_FOUND_ERROR)
			case err != nil:
				t.Errorf("get %d: %v", i, err)
			case rec.Bins["v"] != i || rec.Bins["fill"] != strings.Repeat("x", i%700) || rec.Generation != 1:
				t.Errorf("record %d is another: generation %d, %v", i, rec.Generation, rec.Bins["v"])
			}
		}
		c.Close()
	}
	p.stop()
}

// TestCommands runs the rest of the command line against a node.
func TestCommands(t *testing.T) {
	t.Parallel()
	p := start(t, configure(t, dataDir(t), settings{flushMax: time.Second}))
	run := func(args ...string) (string, error) {
		out, err := exec.Command(ashlar, args...).CombinedOutput()
		return string(out), err
	}
	addr := fmt.Sprintf("%s:%d", p.host, p.port)
	if out, err := run("info", "-h", addr, "build", "namespaces", "nonsense"); err != nil ||
		out != "build\t8.1.2.0\nnamespaces\ttest\nnonsense\tERROR:4:unrecognized command\n" {
		t.Errorf("info: %q, %v", out, err)
	}
	if out, err := run("info", "-h", addr); err != nil || !strings.Contains(out, "\nbuild\t8.1.2.0\n") {
		t.Errorf("info without a command: %q, %v", out, err)
	}
	if out, err := run("info", "-h", "127.0.0.1:1", "build"); err == nil {
		t.Errorf("info of a port without a node: %q and no error", out)
	}
	if out, err := run("version"); err != nil || !strings.HasPrefix(out, "ashlar ") {
		t.Errorf("version: %q, %v", out, err)
	}
	if out, err := run("node", "--force-init", "/dev/null"); err == nil || !strings.Contains(out, "name it twice") {
		t.Errorf("force-init named once: %q, %v", out, err)
	}
	p.stop()
}
