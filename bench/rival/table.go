package rival

import (
	"fmt"
	"io"
	"time"
)

// table is the report, in Markdown. figures come in the order swtpm, engine on a socket, engine in process, simulator;
// what is missing at the end was not measured.
type table struct {
	w         io.Writer
	simulator bool
}

func (t *table) head() {
	fmt.Fprint(t.w, "| | swtpm | engine | ratio | goal | CPU swtpm | CPU engine | engine in process |")
	line := "\n|---|---|---|---|---|---|---|---|"
	if t.simulator {
		fmt.Fprint(t.w, " simulator | ratio | goal |")
		line += "---|---|---|"
	}
	fmt.Fprintln(t.w, line)
}

func (t *table) row(r *row, f []figure) {
	swtpm, socket := f[0], f[1]
	fmt.Fprintf(t.w, "| %s | %s | %s | %.2f | %s | %s | %s |", r.what, show(swtpm.wall), show(socket.wall),
		ratio(socket.wall, swtpm.wall), verdict(socket.wall, swtpm.wall), show(swtpm.cpu), show(socket.cpu))
	if len(f) > 2 {
		fmt.Fprintf(t.w, " %s |", show(f[2].wall))
	}
	if len(f) > 3 {
		goal := ""
		if r.ecc {
			goal = verdict(f[2].wall, f[3].wall)
		}
		fmt.Fprintf(t.w, " %s | %.2f | %s |", show(f[3].wall), ratio(f[2].wall, f[3].wall), goal)
	}
	fmt.Fprintln(t.w)
}

func show(d time.Duration) string {
	if d < time.Millisecond {
		return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
	}
	return fmt.Sprintf("%.3g ms", float64(d)/float64(time.Millisecond))
}

func ratio(ours, theirs time.Duration) float64 { return float64(ours) / float64(max(theirs, 1)) }

// verdict holds a row against the one goal there is: not to be slower.
func verdict(ours, theirs time.Duration) string {
	if ours > theirs {
		return "missed"
	}
	return "met"
}
