package act

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/ashlardb/ashlar/ioring"
)

const (
	prepChunk = 1 << 20
	prepDepth = 8
)

// prepper writes a device from front to end, twice: random data, stamped, so
// that later reads can be verified. One goroutine drives it.
type prepper struct {
	dev    *ioring.Device
	q      ioring.Queue
	arena  *ioring.Arena
	file   ioring.File
	filler *filler
	r      *rng
	end    int64 // of what is written

	pass   int
	next   int64
	flying int
	done   int64 // bytes
	failed error
	ops    [prepDepth]ioring.Op
	mem    [prepDepth][]byte
	status func(pass int, done, total int64)
}

// prepare writes a device passes times on a queue, which it closes, and labels
// it.
func prepare(ctx context.Context, dev *ioring.Device, q ioring.Queue, passes, compress int, seed uint64, at time.Time, status func(pass int, done, total int64)) (err error) {
	p := &prepper{dev: dev, q: q, filler: newFiller(compress, seed), r: newRNG(seed, 1), end: dev.Size / labelSize * labelSize, status: status}
	if p.arena, err = ioring.NewArena(2*prepDepth*prepChunk, ioring.ArenaOptions{}); err != nil {
		return errors.Join(err, q.Close())
	}
	defer func() {
		err = errors.Join(err, q.Close())
		for _, m := range p.mem {
			if m != nil {
				p.arena.Put(m)
			}
		}
		err = errors.Join(err, p.arena.Close())
	}()
	if err := q.Register(p.arena); err != nil {
		return err
	}
	if p.file, err = q.Attach(dev); err != nil {
		return err
	}
	for i := range p.mem {
		p.mem[i] = p.arena.Get(prepChunk)
	}
	// Until all is written the label is not there: what was half prepared is
	// not taken for prepared.
	if err := p.one(0, make0(p.mem[0][:labelSize])); err != nil {
		return err
	}
	for p.pass = 1; p.pass <= passes; p.pass++ {
		if err := p.write(ctx); err != nil {
			return err
		}
	}
	if err := p.sync(); err != nil {
		return err
	}
	l := label{end: p.end, at: at, seed: seed}
	l.encode(p.mem[0])
	if err := p.one(0, p.mem[0][:labelSize]); err != nil {
		return err
	}
	return p.sync()
}

func make0(b []byte) []byte { clear(b); return b }

// write makes one pass.
func (p *prepper) write(ctx context.Context) error {
	p.next, p.done = labelSize, 0
	for i := range p.ops {
		p.ops[i] = ioring.Op{Kind: ioring.Write, File: p.file, Done: func(o *ioring.Op) { p.written(i) }}
		p.submit(i)
	}
	for p.flying > 0 {
		if ctx.Err() != nil {
			p.next = p.end
		}
		if _, err := p.q.Poll(100 * time.Millisecond); err != nil {
			return err
		}
		if p.status != nil {
			p.status(p.pass, p.done, p.end-labelSize)
		}
	}
	return errors.Join(p.failed, ctx.Err())
}

func (p *prepper) submit(i int) {
	if p.next >= p.end || p.failed != nil {
		return
	}
	o := &p.ops[i]
	// The first piece ends at a whole chunk, so that the others begin at one.
	n := min(prepChunk-p.next%prepChunk, p.end-p.next)
	o.Offset, o.Buf = p.next, p.mem[i][:n]
	p.filler.fill(o.Buf, o.Offset, uint64(p.pass), p.r)
	p.next += n
	p.flying++
	p.q.Submit(o)
}

func (p *prepper) written(i int) {
	o := &p.ops[i]
	p.flying--
	if int(o.Result) != len(o.Buf) {
		if p.failed == nil {
			p.failed = fmt.Errorf("%s: write of %d bytes at %d: %s", p.dev.Path, len(o.Buf), o.Offset, resultText(o.Result))
		}
		return
	}
	p.done += int64(len(o.Buf))
	p.submit(i)
}

// one writes buf at offset and waits.
func (p *prepper) one(offset int64, buf []byte) error {
	return p.wait(&ioring.Op{Kind: ioring.Write, File: p.file, Offset: offset, Buf: buf}, len(buf))
}

func (p *prepper) sync() error { return p.wait(&ioring.Op{Kind: ioring.Fsync, File: p.file}, 0) }

func (p *prepper) wait(o *ioring.Op, want int) error {
	back := false
	o.Done = func(*ioring.Op) { back = true }
	p.q.Submit(o)
	for !back {
		if _, err := p.q.Poll(100 * time.Millisecond); err != nil {
			return err
		}
	}
	if int(o.Result) != want {
		return fmt.Errorf("%s: at %d: %s", p.dev.Path, o.Offset, resultText(o.Result))
	}
	return nil
}

// prepareOpened prepares a real device, with progress on out.
func prepareOpened(ctx context.Context, o *opened, passes int, opts *Options, out io.Writer) error {
	ended := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the queue's thread; it ends with the goroutine
		q, err := ioring.New(ioring.Options{Node: o.dev.Node, Fallback: opts.Sync, Log: opts.Log})
		if err != nil {
			ended <- err
			return
		}
		start, last := time.Now(), time.Now()
		ended <- prepare(ctx, o.dev, q, passes, opts.Config.CompressPct, opts.Seed, time.Now(), func(pass int, done, total int64) {
			if out == nil || time.Since(last) < progressEvery/2 && done < total {
				return
			}
			last = time.Now()
			all := float64(pass-1)*float64(total) + float64(done)
			rate := all / time.Since(start).Seconds()
			left := time.Duration((float64(passes)*float64(total) - all) / max(rate, 1) * float64(time.Second))
			fmt.Fprintf(out, "%s: pass %d of %d: %.0f %%, %.0f MB/s, %v left\n", o.dev.Path, pass, passes, 100*float64(done)/float64(total), rate/1e6, left.Round(time.Second))
		})
	}()
	if err := <-ended; err != nil {
		return fmt.Errorf("act: prep: %w", err)
	}
	o.label = &label{end: o.dev.Size / labelSize * labelSize}
	return nil
}
