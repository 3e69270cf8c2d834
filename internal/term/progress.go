package term

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// Progress shows one line on a terminal while something takes long, and takes it away again.
type Progress struct {
	w     io.Writer
	mu    sync.Mutex
	text  string
	shown bool
	timer *time.Timer
}

// progressDelay is how long a step may take before it is worth a line.
const progressDelay = 500 * time.Millisecond

// StartProgress shows text on w after half a second, unless Done came first. Where active is false it stays silent.
func StartProgress(w io.Writer, active bool, text string) *Progress {
	p := &Progress{w: w, text: text}
	if active {
		p.mu.Lock() // show may run before AfterFunc returns
		defer p.mu.Unlock()
		p.timer = time.AfterFunc(progressDelay, p.show)
	}
	return p
}

// Update replaces the text.
func (p *Progress) Update(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = fmt.Sprintf(format, args...)
	if p.shown {
		fmt.Fprintf(p.w, "\r\x1b[K%s", p.text)
	}
}

// Done removes the line.
func (p *Progress) Done() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if p.shown {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.shown = false
	}
}

func (p *Progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.shown = true
		fmt.Fprintf(p.w, "\r\x1b[K%s", p.text)
	}
}
