package emulator

import (
	"math/bits"
	"math/rand/v2"
	"strings"
)

// maxHeight allows for 4^12, about 17 million, objects in a bucket before searching slows down.
const maxHeight = 12

// index holds a bucket's objects in the order of their names. It is a skip list: every operation takes a number of steps
// that grows with the logarithm of the number of objects, and walking on from a found object takes none.
// The zero value is empty.
type index struct {
	first   [maxHeight]*node
	count   int
	compare func(a, b string) int // strings.Compare unless a test counts
}

type node struct {
	object *object
	next   []*node
}

// path is the links that lead to a place, from the lowest level up.
type path [maxHeight]**node

// find returns the links that would lead to name.
func (x *index) find(name string) (p path) {
	compare := x.compare
	if compare == nil {
		compare = strings.Compare
	}
	links := x.first[:]
	for level := maxHeight - 1; level >= 0; level-- {
		for links[level] != nil && compare(links[level].object.name, name) < 0 {
			links = links[level].next
		}
		p[level] = &links[level]
	}
	return p
}

// seek returns the first object whose name is not before name.
func (x *index) seek(name string) *node { return *x.find(name)[0] }

// get returns nil if there is no such object.
func (x *index) get(name string) *object {
	if n := x.seek(name); n != nil && n.object.name == name {
		return n.object
	}
	return nil
}

// set makes o the object of its name and returns the one that it replaces, if any.
func (x *index) set(o *object) (old *object) {
	p := x.find(o.name)
	if n := *p[0]; n != nil && n.object.name == o.name {
		old, n.object = n.object, o
		return old
	}
	// Every fourth node of a level is in the next one too.
	height := min(1+bits.TrailingZeros64(rand.Uint64())/2, maxHeight)
	n := &node{object: o, next: make([]*node, height)}
	for level := range n.next {
		n.next[level], *p[level] = *p[level], n
	}
	x.count++
	return nil
}

// remove takes the object of that name out, if it is there.
func (x *index) remove(name string) {
	p := x.find(name)
	n := *p[0]
	if n == nil || n.object.name != name {
		return
	}
	for level := range n.next {
		*p[level] = n.next[level]
	}
	x.count--
}
