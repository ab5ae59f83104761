package ioring

import (
	"runtime"
	"sync"
)

// pool is the threads that do the fallback's device I/O, by blocking calls.
//
//	put ─▶ todo ─▶ thread: transfer ─▶ done ─▶ take
//
// The threads start with the first operation: a queue of sockets has none.
type pool struct {
	threads int
	wake    func() // tells the owner of the queue that done has something

	mu      sync.Mutex
	work    sync.Cond // todo has something, or closed
	todo    fifo
	done    fifo
	started bool
	closed  bool
	running sync.WaitGroup
}

func newPool(threads int, wake func()) *pool {
	p := &pool{threads: threads, wake: wake}
	p.work.L = &p.mu
	return p
}

// put hands o to a thread.
func (p *pool) put(o *Op) {
	if !p.started {
		p.started = true
		for range p.threads {
			p.running.Add(1)
			go p.run()
		}
	}
	o.place = placePool
	p.mu.Lock()
	p.todo.link(o)
	p.mu.Unlock()
	p.work.Signal()
}

// take returns an operation that is over, nil if there is none.
func (p *pool) take() *Op { return p.pop(&p.done) }

// steal returns an operation that no thread has begun, nil if there is none.
func (p *pool) steal() *Op { return p.pop(&p.todo) }

func (p *pool) pop(from *fifo) *Op {
	p.mu.Lock()
	defer p.mu.Unlock()
	return from.pop()
}

// remove takes o back and reports whether no thread had begun it.
func (p *pool) remove(o *Op) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.todo.remove(o)
}

func (p *pool) run() {
	defer p.running.Done()
	// A device call blocks: with a thread of its own it costs the scheduler no
	// hand-off of a P.
	runtime.LockOSThread()
	for {
		p.mu.Lock()
		for p.todo.n == 0 && !p.closed {
			p.work.Wait()
		}
		o := p.todo.pop()
		p.mu.Unlock()
		if o == nil {
			return
		}
		result := transfer(o, int(o.block))
		p.mu.Lock()
		o.Result = result
		p.done.link(o)
		p.mu.Unlock()
		p.wake()
	}
}

// close ends the threads; nothing is left for them.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.work.Broadcast()
	p.running.Wait()
}
