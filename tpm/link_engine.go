package tpm

import (
	"context"
	"errors"

	"github.com/vtpmctl/vtpmctl/engine"
	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// inProcess is a link to an engine in this process, which answers before exchange returns.
type inProcess struct{ tpm *engine.TPM }

// openEngine opens the engine whose state is in a folder, or makes a new one there. It waits while another process
// holds the folder.
func openEngine(ctx context.Context, dir string, o Options) (link, error) {
	e, err := OpenEngine(ctx, dir, o.EngineKey, engine.Config{Boot: o.EngineBoot})
	if err != nil {
		return nil, err
	}
	return inProcess{e}, nil
}

// OpenEngine is the engine itself with its state in a folder, for who does more with it than send commands. Errors are
// classified.
func OpenEngine(ctx context.Context, dir string, key engine.FileOptions, cfg engine.Config) (*engine.TPM, error) {
	store, err := engine.OpenFileStore(ctx, dir, key)
	if err != nil {
		return nil, EngineError(err)
	}
	cfg.Store = store
	e, err := engine.New(cfg)
	if err != nil {
		return nil, errors.Join(EngineError(err), store.Close())
	}
	return e, nil
}

// FromEngine is a Conn to an engine that the caller has made, such as one in memory. Closing it closes the engine.
func FromEngine(ctx context.Context, e *engine.TPM, o Options) (Conn, error) {
	c := newConn(ctx, inProcess{e}, Target{Scheme: Engine}, o)
	if err := c.identify(); err != nil {
		return nil, closeAfter(c, err)
	}
	return c, nil
}

func (l inProcess) exchange(_ context.Context, command []byte) ([]byte, error) {
	rsp, err := l.tpm.Send(command)
	return rsp, EngineError(err)
}

func (l inProcess) resume(context.Context) ([]byte, error) { return nil, errNothingOwed }

func (l inProcess) close() error { return EngineError(l.tpm.Close()) }

// engineKinds puts what the engine's store tells into our words.
var engineKinds = map[engine.StoreErrorKind]fail.Kind{
	engine.StoreFailed:  fail.OutputFailed,
	engine.StoreLocked:  fail.TPMBusy,
	engine.StoreKey:     fail.AuthRefused,
	engine.StoreDamaged: fail.BadInput,
	engine.StoreVersion: fail.Unsupported,
	engine.StoreDenied:  fail.Permission,

	engine.StoreRolledBack: fail.BadInput,
}

// EngineError classifies what the engine and its store say.
func EngineError(err error) error {
	e, ok := errors.AsType[*engine.StoreError](err)
	if !ok {
		return err
	}
	f := fail.E(engineKinds[e.Kind], "the software TPM's state: %w", err)
	if e.Advice != "" {
		f.Hint("%s", e.Advice)
	}
	return f
}
