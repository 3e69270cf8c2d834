package tpm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// manufacturerEngine is TPM_PT_MANUFACTURER of vtpmctl's own engine, "VTPC", over whatever channel it is reached.
const manufacturerEngine = 0x56545043

// conn is an open TPM: a link, what was made through it, and the layers on top.
type conn struct {
	ctx    context.Context
	link   link
	origin Origin
	top    Sender // the layers, down to exchange
	track  tracker
	refusals
	pending []byte // the command whose answer has not come yet; nil for none
	broken  error  // why the link is of no more use; nil while it is
}

func newConn(ctx context.Context, l link, t Target, o Options) *conn {
	if o.Record != nil {
		l = &recorder{link: l, w: o.Record}
	}
	c := &conn{ctx: ctx, link: l, refusals: refusals{}, origin: Origin{Target: t.String(), Emulated: t.Scheme == Engine}}
	layers := []layer{guard(o.Allow, o.Named...), c.refusals.layer, retry(ctx, defaultRetry)}
	if o.Trace != nil {
		layers = append(layers, trace(o.Trace))
	}
	c.top = stack(senderFunc(func(cmd []byte) ([]byte, error) { return c.exchange(c.ctx, cmd) }), layers...)
	return c
}

func (c *conn) Send(command []byte) ([]byte, error) { return c.top.Send(command) }

func (c *conn) Origin() Origin { return c.origin }

var errClosed = errors.New("the connection to the TPM is closed")

// exchange sends one command. If an earlier command was cut short by its context, its answer is collected first: it
// may tell of a handle that has to be flushed.
func (c *conn) exchange(ctx context.Context, command []byte) ([]byte, error) {
	if ctx.Err() != nil {
		return nil, waitError(ctx)
	}
	if err := c.settle(ctx); err != nil {
		return nil, err
	}
	c.pending = slices.Clone(command)
	return c.answer(c.link.exchange(ctx, command))
}

// waitError says that ctx ended before the TPM had answered.
func waitError(ctx context.Context) error { return fmt.Errorf("waiting for the TPM: %w", ctx.Err()) }

// settle waits for the answer that an interrupted command still owes.
func (c *conn) settle(ctx context.Context) error {
	if c.broken != nil || c.pending == nil {
		return c.broken
	}
	rsp, err := c.link.resume(ctx)
	if errors.Is(err, errNothingOwed) {
		c.pending = nil
		return nil
	}
	_, err = c.answer(rsp, err)
	return err
}

// errNothingOwed is what a link's resume returns when the interrupted command has ended without an answer.
var errNothingOwed = errors.New("no answer is owed")

// answer takes what the link returned for the pending command. An error that is not the context's breaks the
// connection for good: where one answer was lost, the next one read might belong to another command.
func (c *conn) answer(rsp []byte, err error) ([]byte, error) {
	if err == nil {
		err = checkResponse(rsp)
	}
	if err != nil {
		if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			c.broken = err
		}
		return nil, err
	}
	c.track.saw(c.pending, rsp)
	c.pending = nil
	return rsp, nil
}

// identify asks for the manufacturer: the cheapest question that only a started TPM 2.0 answers.
func (c *conn) identify() error {
	_, _, _, err := capabilityPage(c, tpm2.TPMCapTPMProperties, uint32(tpm2.TPMPTManufacturer), 1, func(r *wire.Reader) uint32 {
		p, id := readProperty(r)
		c.origin.Emulated = c.origin.Emulated || tpm2.TPMPT(id) == tpm2.TPMPTManufacturer && p.Value == manufacturerEngine
		return id
	})
	return Annotate(c, err)
}

// Close flushes what was made through c, newest first, then lets go. It has a grace period of its own, because the
// usual reason for an early Close is that the caller's context has ended.
func (c *conn) Close() error {
	if errors.Is(c.broken, errClosed) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), closeGrace)
	defer cancel()
	if c.settle(ctx) == nil {
		for _, h := range slices.Backward(slices.Clone(c.track.open)) {
			if _, err := c.exchange(ctx, flushCommand(h)); err != nil {
				break // the channel is broken; a refusal by the TPM would be an answer
			}
		}
	}
	c.broken = errClosed
	return c.link.close()
}

// flushCommand is TPM2_FlushContext (part 3, section 28.4), whose handle is a parameter.
func flushCommand(h tpm2.TPMHandle) []byte {
	return wire.NewBE().U16(uint16(tpm2.TPMSTNoSessions)).U32(headerSize + 4).
		U32(uint32(tpm2.TPMCCFlushContext)).U32(uint32(h)).Out()
}
