package tpm

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// session is a command under a session, continued or not.
func underSession(cc tpm2.TPMCC, session tpm2.TPMHandle, attributes byte, handles ...tpm2.TPMHandle) []byte {
	auth := wire.NewBE().U32(uint32(session)).Sized16([]byte("nonce")).U8(attributes).Sized16([]byte("hmac")).Out()
	body := wire.NewBE()
	for _, h := range handles {
		body.U32(uint32(h))
	}
	body.Sized32(auth)
	return wire.NewBE().U16(uint16(tpm2.TPMSTSessions)).U32(uint32(headerSize + body.Len())).U32(uint32(cc)).Bytes(body.Out()).Out()
}

func TestCloseFlushesWhatIsLeft(t *testing.T) {
	next := uint32(0x80000000)
	fake := newFakeTPM()
	create := func([]byte) []byte { next++; return handleResponse(tpm2.TPMHandle(next)) }
	fine := func([]byte) []byte { return response(tpm2.TPMRCSuccess, nil) }
	fake.answers[tpm2.TPMCCCreatePrimary] = create
	fake.answers[tpm2.TPMCCHashSequenceStart] = create
	fake.answers[tpm2.TPMCCStartAuthSession] = func([]byte) []byte { return handleResponse(0x02000000) }
	for _, cc := range []tpm2.TPMCC{tpm2.TPMCCFlushContext, tpm2.TPMCCSequenceComplete, tpm2.TPMCCReadPublic} {
		fake.answers[cc] = fine
	}
	c := openFake(t, fake, Options{})
	for _, cmd := range [][]byte{
		withPassword(tpm2.TPMCCCreatePrimary, "", nil, tpm2.TPMRHOwner), // 80000001, flushed by the caller
		withPassword(tpm2.TPMCCCreatePrimary, "", nil, tpm2.TPMRHOwner), // 80000002, left
		noSessions(tpm2.TPMCCHashSequenceStart, nil),                    // 80000003, completed
		flushCommand(0x80000001),
		withPassword(tpm2.TPMCCSequenceComplete, "", nil, 0x80000003),
		noSessions(tpm2.TPMCCStartAuthSession, make([]byte, 8)),       // 02000000, used up
		underSession(tpm2.TPMCCReadPublic, 0x02000000, 1, 0x80000002), // goes on
		underSession(tpm2.TPMCCReadPublic, 0x02000000, 0, 0x80000002), // ends
		noSessions(tpm2.TPMCCStartAuthSession, make([]byte, 8)),       // 02000000 again, left
		withPassword(tpm2.TPMCCLoad, "", nil, 0x80000002),             // refused: makes nothing
		underSession(tpm2.TPMCCUnseal, 0x02000000, 0, 0x80000002),     // refused: the session lives on
	} {
		if _, err := c.Send(cmd); err != nil {
			t.Fatal(err)
		}
	}
	fake.log = nil
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]byte{flushCommand(0x02000000), flushCommand(0x80000002)}, fake.log); diff != "" {
		t.Error(diff)
	}
	if err := c.Close(); err != nil || len(fake.log) != 2 {
		t.Errorf("a second Close gives %v and sends %d commands", err, len(fake.log)-2)
	}
}

func TestCloseFlushesAfterTheContextHasEnded(t *testing.T) {
	fake := newFakeTPM()
	fake.answers[tpm2.TPMCCCreatePrimary] = func([]byte) []byte { return handleResponse(0x80000007) }
	ctx, cancel := context.WithCancel(t.Context())
	c := newConn(ctx, fake.link(), Target{Scheme: Auto}, Options{})
	if _, err := c.Send(withPassword(tpm2.TPMCCCreatePrimary, "", nil, tpm2.TPMRHOwner)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := c.Send(noSessions(tpm2.TPMCCSelfTest, []byte{1})); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancelling: error %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if last := fake.log[len(fake.log)-1]; !bytes.Equal(last, flushCommand(0x80000007)) {
		t.Errorf("the last command is %x, want a flush of 0x80000007", last)
	}
}

// stuck is a link to a TPM that never answers.
type stuck struct{ closed bool }

func (l *stuck) exchange(ctx context.Context, _ []byte) ([]byte, error) { return l.resume(ctx) }
func (l *stuck) resume(ctx context.Context) ([]byte, error)             { <-ctx.Done(); return nil, waitError(ctx) }
func (l *stuck) close() error                                           { l.closed = true; return nil }

func TestCloseGivesUpOnATPMThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l := &stuck{}
		c := newConn(ctx, l, Target{Scheme: Auto}, Options{})
		start := time.Now()
		if _, err := c.Send(noSessions(tpm2.TPMCCSelfTest, []byte{1})); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took != time.Second+closeGrace || !l.closed {
			t.Errorf("closed %v after %v, want %v", l.closed, took, time.Second+closeGrace)
		}
	})
}

func TestABrokenLinkStaysBroken(t *testing.T) {
	fake := newFakeTPM()
	fake.answers[tpm2.TPMCCSelfTest] = func([]byte) []byte { return []byte("GIF89a....") }
	c := openFake(t, fake, Options{})
	_, first := c.Send(noSessions(tpm2.TPMCCSelfTest, []byte{1}))
	_, second := c.Send(noSessions(tpm2.TPMCCGetCapability, nil))
	if first == nil || first != second || len(fake.log) != 1 {
		t.Errorf("first %v, then %v, after %d commands", first, second, len(fake.log))
	}
	if errors.Is(first, io.EOF) {
		t.Error("the link was asked for another answer")
	}
}
