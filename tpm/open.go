package tpm

import (
	"cmp"
	"context"
	"io"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/engine"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// Options say how a TPM is opened. The zero value reads only, prints nothing, and lets auto end at the engine.
type Options struct {
	Allow      Effects            // lasting changes the Conn lets through
	Named      []tpm2.TPMHandle   // persistent objects and NV indices the user named, which alone may be replaced or removed
	Trace      io.Writer          // one line for each command; nil for none
	Record     io.Writer          // a transcript of all that crosses, secrets included: for tests only
	EngineDir  string             // where auto looks for the engine's state; "" makes auto end at the system's TPM
	EngineKey  engine.FileOptions // what the engine's state is encrypted under
	EngineBoot string             // names the host's boot for an engine that is reset with it
	RequireTPM bool               // refuse whatever emulates a TPM in software of ours
}

// link is a channel that carries whole messages to a TPM, one at a time.
type link interface {
	// exchange sends a command and waits for its answer. When ctx ends first the answer is still to come: resume
	// collects it.
	exchange(ctx context.Context, command []byte) ([]byte, error)
	// resume waits for the answer of a command whose exchange was cut short.
	resume(ctx context.Context) ([]byte, error)
	close() error
}

// closeGrace is how long Close may take to collect a late answer and flush, when the caller's context has ended.
const closeGrace = 5 * time.Second

// Open reaches the TPM that target names and makes sure that a TPM 2.0 answers there. ctx bounds every command sent
// through the Conn; Close still cleans up after ctx has ended.
func Open(ctx context.Context, target string, o Options) (Conn, error) {
	t, err := ParseTarget(target)
	if err != nil {
		return nil, err
	}
	if o.RequireTPM && t.Scheme == Engine {
		return nil, errEmulated(t)
	}
	l, t, err := dial(ctx, t, o)
	if err != nil {
		return nil, err
	}
	c := newConn(ctx, l, t, o)
	if err := c.identify(); err != nil {
		return nil, closeAfter(c, err)
	}
	if o.RequireTPM && c.origin.Emulated {
		return nil, closeAfter(c, errEmulated(t))
	}
	return c, nil
}

// dial opens the link. The target it returns is the one that auto settled on.
func dial(ctx context.Context, t Target, o Options) (link, Target, error) {
	var l link
	var err error
	switch t.Scheme {
	case Auto:
		return dialAuto(ctx, o)
	case Dev:
		l, err = openDevice(t.Path)
	case TBS:
		l, err = openTBS()
	case SWTPM:
		l, err = dialSWTPM(ctx, t)
	case MSSIM:
		l, err = dialMSSIM(ctx, t)
	case Engine:
		l, err = openEngine(ctx, t.Path, o)
	case Replay:
		l, err = openReplay(t.Path)
	}
	return l, t, err
}

// dialAuto tries the system's own TPMs in their order. Only where there is none does it come to the engine: a TPM that
// is there and cannot be opened is an error, never a reason to use another one.
func dialAuto(ctx context.Context, o Options) (link, Target, error) {
	var missing error // of the target that most machines have, which is the first
	for _, t := range systemTargets {
		l, t, err := dial(ctx, t, o)
		if err == nil || fail.KindOf(err) != fail.NoTPM {
			return l, t, err
		}
		missing = cmp.Or(missing, err)
	}
	if o.EngineDir != "" && !o.RequireTPM {
		return dial(ctx, Target{Scheme: Engine, Path: o.EngineDir}, o)
	}
	return nil, Target{Scheme: Auto}, fail.E(fail.NoTPM, "this machine has no TPM 2.0: %w", missing).
		Hint("switch on the vTPM in the instance's settings, or name another one with --tpm").
		Hint("%s", targetGrammar)
}

func errEmulated(t Target) error {
	return fail.E(fail.NoTPM, "%s is an emulated TPM, and a real one is required (--require-tpm)", t).
		Hint("name the real TPM with --tpm, or leave out --require-tpm")
}

func closeAfter(c Conn, err error) error {
	_ = c.Close() // the error that led here says more
	return err
}
