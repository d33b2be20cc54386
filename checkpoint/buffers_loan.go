package checkpoint

// lendFrom is the size from which on a manifest is read and written outside of the Go heap, which would keep its room for long.
const lendFrom = 1 << 20

// loan is memory for an object that is made or read whole, in the place of buffers that are idle: a manifest of very many parts. It waits for nobody: who holds a
// buffer may be waiting for the manifest.
type loan struct {
	of    *buffers
	taken int // buffers
	last  []byte
	slabs slabs
}

func (b *buffers) loan() *loan { return &loan{of: b} }

// take returns n bytes until end; the same if it is asked again for as many.
func (l *loan) take(n int) []byte {
	if n < lendFrom {
		return make([]byte, n)
	}
	if len(l.last) == n {
		return l.last
	}
	for lent := true; lent && l.taken*l.of.size < n; {
		select {
		case <-l.of.free:
			l.taken++
		default:
			lent = false
		}
	}
	l.of.cool()
	l.last = l.slabs.allocate((n + lendFrom - 1) &^ (lendFrom - 1))[:n]
	return l.last
}

// end gives everything back.
func (l *loan) end() {
	l.slabs.release()
	l.last = nil
	for ; l.taken > 0; l.taken-- {
		l.of.free <- struct{}{}
	}
}

// cool takes the memory of idle buffers that nobody can take at present.
func (b *buffers) cool() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.warm) > len(b.free) {
		n := len(b.warm) - 1
		discard(b.warm[n])
		b.cold, b.warm = append(b.cold, b.warm[n]), b.warm[:n]
	}
}
