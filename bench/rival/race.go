package rival

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"
)

// recorder keeps what is sent.
type recorder struct {
	to       transport.TPM
	commands [][]byte
}

func (r *recorder) Send(cmd []byte) ([]byte, error) {
	r.commands = append(r.commands, bytes.Clone(cmd))
	return r.to.Send(cmd)
}

// quiet is the TPM without the recorder before it.
func quiet(t transport.TPM) transport.TPM {
	if r, ok := t.(*recorder); ok {
		return r.to
	}
	return t
}

func code(rsp []byte) uint32 {
	if len(rsp) < 10 {
		return 0xffffffff
	}
	return binary.BigEndian.Uint32(rsp[6:])
}

func commandOf(cmd []byte) tpm2.TPMCC { return tpm2.TPMCC(binary.BigEndian.Uint32(cmd[6:])) }

// script is what one TPM is sent for a row, a list for each variant.
type script [][][]byte

// record plays a row on a TPM, all variants of it.
func (c *Contestant) record(r *row) (s script, err error) {
	play, err := r.setup(c.TPM)
	if err != nil {
		return nil, err
	}
	for v := range max(r.variants, 1) {
		rec := &recorder{to: c.TPM}
		if err := play(rec, v); err != nil {
			return nil, err
		}
		s = append(s, rec.commands)
	}
	return s, nil
}

// run sends a variant and returns the time it took.
func (c *Contestant) run(commands [][]byte, whole bool) (total time.Duration, err error) {
	for _, cmd := range commands {
		began := time.Now()
		rsp, err := c.TPM.Send(cmd)
		took := time.Since(began)
		if err != nil {
			return 0, err
		}
		if rc := code(rsp); rc != 0 {
			return 0, fmt.Errorf("%#x: %#x", uint32(commandOf(cmd)), rc)
		}
		if whole || commandOf(cmd) != tpm2.TPMCCFlushContext {
			total += took
		}
	}
	return total, nil
}

// tidy flushes what a row left loaded.
func (c *Contestant) tidy() error {
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapHandles, Property: 0x80000000, PropertyCount: 16}.Execute(c.TPM)
	if err != nil {
		return err
	}
	loaded, err := rsp.CapabilityData.Data.Handles()
	if err != nil {
		return err
	}
	for _, h := range loaded.Handle {
		err = errors.Join(err, flush(c.TPM, h))
	}
	return err
}

// figure is what one TPM needed for an operation: the median by the clock, and the mean of CPU time.
type figure struct{ wall, cpu time.Duration }

// race times a row on all TPMs in turns, after one round that does not count.
func race(ctx context.Context, r *row, rounds int, all []*Contestant) ([]figure, error) {
	scripts := make([]script, len(all))
	var err error
	for i, c := range all {
		if scripts[i], err = c.record(r); err != nil {
			return nil, err
		}
	}
	times := max(r.times, 1)
	rounds = max(rounds, r.variants)
	walls, figures := make([][]time.Duration, len(all)), make([]figure, len(all))
	for round := range rounds + 1 {
		for i, c := range all {
			before := c.CPU()
			var wall time.Duration
			for turn := range times {
				took, err := c.run(scripts[i][(round*times+turn)%len(scripts[i])], r.whole)
				if err != nil || ctx.Err() != nil {
					return nil, errors.Join(err, ctx.Err())
				}
				wall += took
			}
			if round > 0 {
				walls[i] = append(walls[i], wall/time.Duration(times))
				figures[i].cpu += (c.CPU() - before) / time.Duration(times*rounds)
			}
		}
	}
	for i, c := range all {
		figures[i].wall = Median(walls[i])
		err = errors.Join(err, c.tidy())
	}
	return figures, err
}

// Race times every row on swtpm and the engine, and on the reference simulator if that is given, and writes a table.
func Race(ctx context.Context, w io.Writer, rounds int, simulator *Contestant) (err error) {
	g, err := newGround(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	all, err := g.line(ctx)
	if err != nil {
		return err
	}
	defer func() {
		for _, c := range all {
			err = errors.Join(err, c.Close())
		}
	}()
	if simulator != nil {
		all = append(all, simulator)
	}
	fmt.Fprintln(w, Circumstances(rounds))
	t := table{w: w, simulator: simulator != nil}
	t.head()
	for i := range rows {
		figures, err := race(ctx, &rows[i], rounds, all)
		if err != nil {
			return fmt.Errorf("%s: %w", rows[i].what, err)
		}
		t.row(&rows[i], figures)
	}
	return g.coldStarts(ctx, &t, rounds)
}

// coldStarts times a process from its start to its first answer, with a new state and with the one it then left.
func (g *ground) coldStarts(ctx context.Context, t *table, rounds int) error {
	paths := []string{g.theirs, g.ours}
	names := []string{"cold start, new state", "cold start, existing state"}
	var walls [2][2][]time.Duration
	var cpus [2][2]time.Duration
	for round := range rounds + 1 {
		for i, path := range paths {
			state, err := g.newState()
			if err != nil {
				return err
			}
			for kind := range names {
				began := time.Now()
				c, err := program{path, state}.start(ctx)
				took := time.Since(began)
				if err != nil {
					return err
				}
				if round > 0 {
					walls[kind][i] = append(walls[kind][i], took)
					cpus[kind][i] += c.CPU() / time.Duration(rounds)
				}
				if err := c.Close(); err != nil {
					return err
				}
			}
		}
	}
	for kind, name := range names {
		t.row(&row{what: name}, []figure{
			{Median(walls[kind][0]), cpus[kind][0]}, {Median(walls[kind][1]), cpus[kind][1]},
		})
	}
	return nil
}
