package ioring

// A fifo is a list of operations linked through themselves.
type fifo struct {
	head, tail *Op
	n          int
}

// push appends o and notes that it waits here. The note is the queue owner's:
// no other thread reads or writes it.
func (l *fifo) push(o *Op, p place) {
	o.place = p
	l.link(o)
}

// link appends o.
func (l *fifo) link(o *Op) {
	o.next = nil
	if l.tail == nil {
		l.head = o
	} else {
		l.tail.next = o
	}
	l.tail = o
	l.n++
}

// pop returns the oldest operation, nil when the list is empty.
func (l *fifo) pop() *Op {
	o := l.head
	if o == nil {
		return nil
	}
	l.head = o.next
	if l.head == nil {
		l.tail = nil
	}
	o.next = nil
	l.n--
	return o
}

// remove takes o out of the middle and reports whether it was there. It walks
// the list: only Cancel calls it.
func (l *fifo) remove(o *Op) bool {
	var prev *Op
	for p := l.head; p != nil; prev, p = p, p.next {
		if p != o {
			continue
		}
		if prev == nil {
			l.head = o.next
		} else {
			prev.next = o.next
		}
		if l.tail == o {
			l.tail = prev
		}
		o.next = nil
		l.n--
		return true
	}
	return false
}

// InFlight reports whether the operation is with a queue.
func (o *Op) InFlight() bool { return o.Slot != 0 }
