package out

import (
	"bufio"
	"iter"
	"runtime"
	"sync"
)

// listing is how the values of a long list are laid out.
type listing struct {
	format Format
	depth  int    // of the values' fields
	comma  string // between two values
	indent string // before each
	end    string // after the last
	none   string // instead of all that where there is no value
}

const (
	batchSize = 64 // values are encoded at a time: enough to be worth a goroutine
	fewer     = 8  // batches are a list so short that it is done before another core is awake
)

// write prints values while they are made. Printing a long list is encoding and little else, so its batches are encoded
// on all cores, and printed in their order; no more are kept than keep the cores busy. A value must stay as it is when the
// next one is made.
func (l *listing) write(w *bufio.Writer, values iter.Seq[any]) error {
	ring := make([]batch, 2*runtime.GOMAXPROCS(0))
	for i := range ring {
		ring[i] = batch{listing: l, before: l.comma, Encoder: Encoder{format: l.format, depth: l.depth}}
	}
	ring[0].before = ""
	b, n := &ring[0], 0
	for v := range values {
		if len(b.values) == batchSize {
			if n < fewer {
				b.encode()
			} else {
				b.work.Go(b.encode)
			}
			n++
			b = &ring[n%len(ring)]
			if err := b.print(w); err != nil {
				return err
			}
		}
		b.values = append(b.values, v)
	}
	end := l.end
	if len(b.values) == 0 {
		end = l.none
	}
	b.encode()
	for i := range ring { // the oldest first, b last
		if err := ring[(n+1+i)%len(ring)].print(w); err != nil {
			return err
		}
	}
	_, err := w.WriteString(end)
	return err
}

// batch is a run of values and their text.
type batch struct {
	*listing
	Encoder
	before string // the next value, but for the indent
	values []any

	work   sync.WaitGroup
	err    error
	thrown any
}

// encode makes the text. A panic is kept for print, where the caller can recover from it.
func (b *batch) encode() {
	defer func() { b.thrown = recover() }()
	for _, v := range b.values {
		b.text = append(append(b.text, b.before...), b.indent...)
		b.before, b.dash = b.comma, b.Encoder.format == FormatYAML
		if b.err = b.Any(v); b.err != nil {
			return
		}
	}
}

// print waits for the text, prints it and makes room for the next.
func (b *batch) print(w *bufio.Writer) error {
	b.work.Wait()
	switch {
	case b.thrown != nil:
		panic(b.thrown)
	case b.err != nil:
		return b.err
	}
	_, err := w.Write(b.text)
	b.text, b.values = b.text[:0], b.values[:0]
	return err
}
