package txn

import "sync/atomic"

// Task is a piece of work that one thread hands to a loop. It is embedded in
// what the work is about and bound to its Run once; it is in at most one
// inbox, once.
type Task struct {
	Run  func()
	next *Task
}

// Inbox is how other threads reach a loop: any thread posts, the loop drains.
//
// The list is last in, first out, as a compare-and-swap builds it; Drain turns
// it round, so tasks run in the order in which they were posted.
type Inbox struct {
	head atomic.Pointer[Task]
	wake func()
}

// NewInbox returns an inbox whose owner wake awakens; wake is called from any
// thread, for the first task of each batch.
func NewInbox(wake func()) *Inbox { return &Inbox{wake: wake} }

// Post hands t to the owner. Any thread may call it.
func (b *Inbox) Post(t *Task) {
	for {
		old := b.head.Load()
		t.next = old
		if b.head.CompareAndSwap(old, t) {
			if old == nil { // else the owner has been awakened, and has not drained yet
				b.wake()
			}
			return
		}
	}
}

// Drain runs what has been posted, in order, and returns how many tasks that
// were. Only the owner calls it. What a task posts waits for the next Drain.
func (b *Inbox) Drain() int {
	if b.head.Load() == nil {
		return 0
	}
	var first *Task
	for t := b.head.Swap(nil); t != nil; {
		next := t.next
		t.next, first, t = first, t, next
	}
	n := 0
	for t := first; t != nil; n++ {
		next := t.next
		t.next = nil // before it runs: it may be posted again
		t.Run()
		t = next
	}
	return n
}

// Empty reports whether nothing waits.
func (b *Inbox) Empty() bool { return b.head.Load() == nil }
