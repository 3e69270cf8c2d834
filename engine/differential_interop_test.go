//go:build interop

package engine_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"testing"

	"github.com/google/go-tpm/tpm2"
	"github.com/google/go-tpm/tpm2/transport"

	"github.com/vtpmctl/vtpmctl/engine"
	"github.com/vtpmctl/vtpmctl/internal/interop"
	"github.com/vtpmctl/vtpmctl/internal/wire"
	"github.com/vtpmctl/vtpmctl/tpm"
)

var (
	mutations   = flag.Int("mutations", 12, "mutated copies sent before each command of a scenario")
	showDiffers = flag.Bool("differs", false, "print every command that the two TPMs answer differently")
	third       = flag.String("third", "", "unix `SOCKET` where each connection finds a new TPM; what swtpm and it answer differently has no right answer")
)

// scenario drives a TPM through one subject. It meets the TPM with nothing loaded and cleans up after itself.
type scenario struct {
	name string
	play func(t transport.TPM) error
}

// TestAnswersEqualSwtpms plays every scenario on swtpm and on the engine. Before each command both get the same mutated
// copies of it. The answers have to have the same response code, and for commands whose answer depends on nothing random
// the same bytes.
func TestAnswersEqualSwtpms(t *testing.T) {
	total, equal, disputed := 0, 0, 0
	for i, s := range append(scenarios(), rawScenarios(t)...) {
		t.Run(s.name, func(t *testing.T) {
			theirs, theirEnd := theirsOf(t, s, uint64(i))
			ours, ourEnd := oursOf(t, s, uint64(i))
			if theirEnd != nil {
				t.Errorf("the scenario fails on swtpm: %v", theirEnd)
			}
			if ourEnd != nil {
				t.Errorf("the scenario fails on the engine: %v", ourEnd)
			}
			if *third != "" {
				all := len(theirs)
				theirs, ours = undisputed(t, theirs, thirdOf(t, s, uint64(i)), ours)
				disputed += all - len(theirs)
			}
			n, same := compare(t, theirs, ours)
			total, equal = total+n, equal+same
			t.Logf("%d of %d answers equal", same, n)
		})
	}
	const goal = 0.997
	share := float64(equal) / float64(total)
	t.Logf("%d of %d answers equal: %.2f %%; %d more are disputed", equal, total, 100*share, disputed)
	if share < goal {
		t.Errorf("%.2f %% of the answers are equal, %.1f %% is the goal", 100*share, 100*goal)
	}
}

func theirsOf(t *testing.T, s scenario, seed uint64) ([]answer, error) {
	t.Helper()
	p := prober{to: interop.StartSWTPM(t).Raw(t), seed: seed}
	err := s.play(&p)
	return p.answers, err
}

func oursOf(t *testing.T, s scenario, seed uint64) ([]answer, error) {
	t.Helper()
	e, err := engine.New(engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	p := prober{to: e, seed: seed}
	err = s.play(&p)
	return p.answers, err
}

// thirdOf plays a scenario on the third TPM, which may lack what it needs.
func thirdOf(t *testing.T, s scenario, seed uint64) []answer {
	t.Helper()
	c, err := net.Dial("unix", *third)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	p := prober{to: interop.Raw{ReadWriter: c}, seed: seed}
	if err := s.play(&p); err != nil {
		t.Logf("the third TPM does not play to the end: %v", err)
	}
	return p.answers
}

// undisputed leaves the exchanges in which swtpm and the third TPM gave the same code to the same kind of command.
func undisputed(t *testing.T, theirs, thirds, ours []answer) (a, b []answer) {
	t.Helper()
	kinds := map[string]int{}
	for i := range min(len(theirs), len(thirds), len(ours)) {
		x, y, z := theirs[i], thirds[i], ours[i]
		switch {
		case len(x.command) != len(y.command) || x.how != y.how:
		case x.code() == y.code():
			a, b = append(a, x), append(b, z)
		default:
			kinds[fmt.Sprintf("disputed %s: swtpm %#x, third %#x, engine %#x", tpm.CommandName(x.cc()), uint32(x.code()), uint32(y.code()), uint32(z.code()))]++
		}
	}
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		t.Logf("%d × %s", kinds[k], k)
	}
	return a, b
}

// answer is one exchange.
type answer struct {
	command []byte
	how     string // what was done to the command; "" for nothing
	rsp     []byte
	err     error
}

func (a answer) code() tpm2.TPMRC {
	if len(a.rsp) < 10 {
		return 0xffffffff
	}
	return tpm2.TPMRC(binary.BigEndian.Uint32(a.rsp[6:]))
}

func (a answer) cc() tpm2.TPMCC { return tpm2.TPMCC(binary.BigEndian.Uint32(a.command[6:])) }

// prober is a TPM that gets mutated copies of each command first.
type prober struct {
	to      tpm.Sender
	seed    uint64
	sent    uint64
	answers []answer
}

func (p *prober) Send(cmd []byte) ([]byte, error) {
	rng := rand.New(rand.NewPCG(p.seed, p.sent))
	p.sent++
	if !leaveAlone[tpm2.TPMCC(binary.BigEndian.Uint32(cmd[6:]))] {
		for range *mutations {
			m, how := mutate(rng, cmd)
			p.record(m, how)
		}
	}
	a := p.record(cmd, "")
	return a.rsp, a.err
}

// leaveAlone are commands of which a mutant would change what follows.
var leaveAlone = map[tpm2.TPMCC]bool{
	tpm2.TPMCCSequenceComplete: true, tpm2.TPMCCEventSequenceComplete: true, tpm2.TPMCCNVUndefineSpace: true, tpm2.TPMCCEvictControl: true,
	tpm2.TPMCCClear: true, tpm2.TPMCCHierarchyChanegAuth: true, tpm2.TPMCCShutdown: true, tpm2.TPMCCFlushContext: true,
	tpm2.TPMCCRSADecrypt: true, tpm2.TPMCCRSAEncrypt: true, // a number above the modulus breaks swtpm
}

func (p *prober) record(cmd []byte, how string) answer {
	rsp, err := p.to.Send(cmd)
	a := answer{slices.Clone(cmd), how, rsp, err}
	p.answers = append(p.answers, a)
	if how != "" && a.code() == 0 {
		p.undo(a)
	}
	return a
}

// undo takes back what a mutant made: it would stand in the way of the command itself.
func (p *prober) undo(a answer) {
	switch {
	case createsHandle[a.cc()] && len(a.rsp) >= 14:
		flush := binary.BigEndian.AppendUint32([]byte{0x80, 1, 0, 0, 0, 14, 0, 0, 1, 0x65}, binary.BigEndian.Uint32(a.rsp[10:]))
		_, _ = p.to.Send(flush)
	case a.cc() == tpm2.TPMCCNVDefineSpace:
		r := wire.BE(a.command[14:])
		r.Sized32() // authorization area
		r.Sized16() // auth value of the index
		r.U16()     // size of the public area, which starts with the index
		undefine := wire.NewBE().Bytes([]byte{0x80, 2, 0, 0, 0, 31, 0, 0, 1, 0x22, 0x40, 0, 0, 1}).U32(r.U32()).
			Bytes([]byte{0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0})
		_, _ = p.to.Send(undefine.Out())
	}
}

var createsHandle = map[tpm2.TPMCC]bool{
	tpm2.TPMCCCreatePrimary: true, tpm2.TPMCCLoad: true, tpm2.TPMCCLoadExternal: true, tpm2.TPMCCStartAuthSession: true,
	tpm2.TPMCCContextLoad: true, tpm2.TPMCCCreateLoaded: true, tpm2.TPMCCHMACStart: true, tpm2.TPMCCHashSequenceStart: true,
}

// mutate changes a command in one of the ways in which commands go wrong. The size in the header stays true unless it is
// what is changed.
func mutate(rng *rand.Rand, cmd []byte) (mutant []byte, how string) {
	m := slices.Clone(cmd)
	near := func(n int) int { return min(rng.IntN(n), rng.IntN(n)) } // the front holds more structure than the end
	switch rng.IntN(8) {
	case 0:
		m = m[:10+near(max(1, len(m)-10))]
		how = fmt.Sprintf("cut at %d", len(m))
	case 1:
		n := 1 + rng.IntN(4)
		m = append(m, make([]byte, n)...)
		how = fmt.Sprintf("%d zeroes after", n)
	case 2:
		if len(m) >= 14 {
			h := []uint32{0, 0x40000001, 0x40000007, 0x4000000c, 0x80000000, 0x80000002, 0x01000000, 0x02000001, 0x03000000, 0x81000001, 17, 24}[rng.IntN(12)]
			binary.BigEndian.PutUint32(m[10:], h)
			how = fmt.Sprintf("first handle %#x", h)
		}
	case 3:
		binary.BigEndian.PutUint16(m, []uint16{0x8001, 0x8002, 0x00c1}[rng.IntN(3)])
		how = fmt.Sprintf("tag %x", m[:2])
	case 4:
		binary.BigEndian.PutUint32(m[2:], uint32(len(m)+rng.IntN(5)-2))
		return m, "size in the header"
	default:
		if len(m) > 10 {
			at := 10 + near(len(m)-10)
			m[at] ^= 1 << rng.IntN(8)
			how = fmt.Sprintf("bit flipped at %d", at)
		}
	}
	binary.BigEndian.PutUint32(m[2:], uint32(len(m)))
	return m, how
}

// deterministic are commands whose answer depends on nothing random, once the command is the same. The keys that scenarios
// name in them were loaded from outside.
var deterministic = map[tpm2.TPMCC]bool{
	tpm2.TPMCCPCRRead: true, tpm2.TPMCCPCREvent: true, tpm2.TPMCCPolicyGetDigest: true, tpm2.TPMCCNVReadPublic: true, tpm2.TPMCCNVRead: true,
	tpm2.TPMCCLoadExternal: true, tpm2.TPMCCECDHZGen: true,
	0x155: true, 0x178: true, 0x18a: true, // HMAC, ECC_Parameters, TestParms
}

// certain is the part of an answer that depends on nothing random; nil when there is none.
func (a answer) certain() []byte {
	params := a.rsp[10:]
	if bytes.HasPrefix(a.rsp, []byte{0x80, 2}) {
		params = a.rsp[14:]
	}
	switch cc := a.cc(); {
	case deterministic[cc]:
		return a.rsp
	case cc == tpm2.TPMCCHash || cc == tpm2.TPMCCSequenceComplete: // a digest, before a ticket
		return params[:2+binary.BigEndian.Uint16(params)]
	case cc == 0x164 || cc == tpm2.TPMCCEncryptDecrypt2:
		n := binary.BigEndian.Uint16(params)
		if n%16 != 0 { // what stands in an IV after a short block is nobody's business
			return params[:2+n]
		}
		return a.rsp
	case cc == tpm2.TPMCCGetCapability:
		switch group, property := params[4], a.command[14]; {
		case group == 1 && property != 0x40 && property != 3, group == 4, group == 5, group == 7: // handles, audited commands, banks, PCR properties
			return a.rsp // swtpm lists saved policy sessions as if they were HMAC sessions
		}
	}
	return nil
}

// accepted tells differences that are meant; docs/engine-conformance.md gives the reasons.
func accepted(theirs, ours answer) bool {
	const retry = 0x922  // first use of a DA-protected object after each start (the engine never asks for a retry)
	const more = 0x143   // commands that swtpm 0.7 has not
	const badTag = 0x01e // where swtpm says TPM_RC_VALUE; part 3, 5.2 and the reference say this
	return theirs.code() == retry || theirs.code() == more || ours.code() == badTag || ours.err != nil && theirs.err != nil
}

func compare(t *testing.T, theirs, ours []answer) (n, same int) {
	t.Helper()
	kinds := map[string]int{}
	bytesCompared := 0
	defer func() { t.Logf("%d answers compared byte by byte", bytesCompared) }()
	for i := range min(len(theirs), len(ours)) {
		a, b := theirs[i], ours[i]
		if a.code() == tpm2.TPMRCFailure {
			t.Logf("swtpm broke at %s, %s: what follows is not compared\n  %x", tpm.CommandName(a.cc()), a.how, a.command)
			break
		}
		if len(a.command) != len(b.command) {
			continue // a blob of another size was mutated elsewhere
		}
		n++
		equal := a.code() == b.code() || accepted(a, b)
		if equal && a.code() == 0 && b.code() == 0 && bytes.Equal(a.command, b.command) {
			if c := a.certain(); c != nil {
				bytesCompared++
				equal = bytes.Equal(c, b.certain())
			}
		}
		if equal {
			same++
			continue
		}
		kinds[fmt.Sprintf("%s: swtpm %#x, engine %#x", tpm.CommandName(a.cc()), uint32(a.code()), uint32(b.code()))]++
		if *showDiffers {
			t.Logf("%s, %s: swtpm %#x, engine %#x\n  %x\n  %x\n  %x", tpm.CommandName(a.cc()), a.how, uint32(a.code()), uint32(b.code()), a.command, a.rsp, b.rsp)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		t.Logf("%d × %s", kinds[k], k)
	}
	return n, same
}

// do is a command with an answer nobody needs.
func do[R any](t transport.TPM, c interface {
	Execute(transport.TPM, ...tpm2.Session) (*R, error)
}) error {
	_, err := c.Execute(t)
	return err
}

func owner() tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth(nil)}
}

// withPrimary plays f with a primary key, and flushes it.
func withPrimary(t transport.TPM, template tpm2.TPMTPublic, f func(tpm2.NamedHandle) error) error {
	p, err := tpm2.CreatePrimary{PrimaryHandle: owner(), InPublic: tpm2.New2B(template)}.Execute(t)
	if err != nil {
		return err
	}
	err = f(tpm2.NamedHandle{Handle: p.ObjectHandle, Name: p.Name})
	return errors.Join(err, do(t, tpm2.FlushContext{FlushHandle: p.ObjectHandle}))
}

func auth(h tpm2.NamedHandle) tpm2.AuthHandle {
	return tpm2.AuthHandle{Handle: h.Handle, Name: h.Name, Auth: tpm2.PasswordAuth(nil)}
}

func scenarios() []scenario {
	return []scenario{
		{"capabilities and self-test", playCapabilities},
		{"PCRs and hashes", playPCRs},
		{"every command code with nothing behind it", playBare},
		{"storage keys and sealed data", playSealing},
		{"policies", playPolicies},
		{"signing, quoting and certifying", playSigning},
		{"NV indices", playNV},
		{"sequences and HMAC keys", playSequences},
		{"hierarchies and persistence", playHierarchies},
		{"credentials, duplication and import", playDuplication},
	}
}

func playCapabilities(t transport.TPM) error {
	for _, c := range []struct {
		what tpm2.TPMCap
		from uint32
	}{
		{tpm2.TPMCapHandles, 0x80000000}, {tpm2.TPMCapHandles, 0x81000000}, {tpm2.TPMCapHandles, 0x01000000},
		{tpm2.TPMCapHandles, 0x02000000}, {tpm2.TPMCapHandles, 0x40000000}, {tpm2.TPMCapHandles, 0},
		{tpm2.TPMCapTPMProperties, 0x100}, {tpm2.TPMCapTPMProperties, 0x200}, {tpm2.TPMCapCommands, 0x11f}, {tpm2.TPMCapPCRProperties, 0},
		{tpm2.TPMCapECCCurves, 0}, {tpm2.TPMCapAlgs, 0}, {tpm2.TPMCapAuditCommands, 0}, {tpm2.TPMCapPCRs, 0},
	} {
		if err := do(t, tpm2.GetCapability{Capability: c.what, Property: c.from, PropertyCount: 8}); err != nil {
			return fmt.Errorf("capability %#x from %#x: %w", uint32(c.what), c.from, err)
		}
	}
	return errors.Join(
		do(t, tpm2.GetRandom{BytesRequested: 16}),
		do(t, tpm2.ReadClock{}),
		do(t, tpm2.TestParms{Parameters: tpm2.TPMTPublicParms{Type: tpm2.TPMAlgECC, Parameters: tpm2.ECCSRKTemplate.Parameters}}),
	)
}

func playPCRs(t transport.TPM) error {
	digest := sha256.Sum256([]byte("event"))
	pcr := func(n int) tpm2.AuthHandle {
		return tpm2.AuthHandle{Handle: tpm2.TPMHandle(n), Auth: tpm2.PasswordAuth(nil)}
	}
	selection := tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
		{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(0, 7, 16, 17, 23)},
	}}
	return errors.Join(
		do(t, tpm2.PCRRead{PCRSelectionIn: selection}),
		do(t, tpm2.PCRExtend{PCRHandle: pcr(16), Digests: tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: digest[:]}}}}),
		do(t, tpm2.PCREvent{PCRHandle: pcr(23), EventData: tpm2.TPM2BEvent{Buffer: []byte("event")}}),
		do(t, tpm2.PCRRead{PCRSelectionIn: selection}),
		do(t, tpm2.PCRReset{PCRHandle: pcr(16)}),
		do(t, tpm2.PCRRead{PCRSelectionIn: selection}),
		do(t, tpm2.Hash{Data: tpm2.TPM2BMaxBuffer{Buffer: []byte("data")}, HashAlg: tpm2.TPMAlgSHA256, Hierarchy: tpm2.TPMRHOwner}),
		do(t, tpm2.Hash{Data: tpm2.TPM2BMaxBuffer{Buffer: []byte("data")}, HashAlg: tpm2.TPMAlgSHA1, Hierarchy: tpm2.TPMRHNull}),
	)
}

// playBare sends every command code with nothing behind the header, with zero handles, and with an empty auth area.
func playBare(t transport.TPM) error {
	for cc := uint32(0x11e); cc <= 0x1a2; cc++ {
		if leaveAlone[tpm2.TPMCC(cc)] || cc == 0x124 || cc == 0x125 || cc == 0x144 { // ChangeEPS, ChangePPS, Startup
			continue
		}
		for _, body := range [][]byte{nil, make([]byte, 4), make([]byte, 12), {0x40, 0, 0, 1, 0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 0, 0, 0}} {
			for _, tag := range []byte{1, 2} {
				cmd := binary.BigEndian.AppendUint32([]byte{0x80, tag, 0, 0, 0, 0}, cc)
				cmd = append(cmd, body...)
				binary.BigEndian.PutUint32(cmd[2:], uint32(len(cmd)))
				t.(*prober).record(cmd, "bare")
			}
		}
	}
	return nil
}

func sealTemplate(policy []byte) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgKeyedHash, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, UserWithAuth: policy == nil, NoDA: true},
		AuthPolicy:       tpm2.TPM2BDigest{Buffer: policy},
	}
}

func playSealing(t transport.TPM) error {
	return withPrimary(t, tpm2.ECCSRKTemplate, func(srk tpm2.NamedHandle) error {
		if err := do(t, tpm2.ReadPublic{ObjectHandle: srk.Handle}); err != nil {
			return err
		}
		sealed, err := tpm2.Create{
			ParentHandle: auth(srk), InPublic: tpm2.New2B(sealTemplate(nil)),
			InSensitive: tpm2.TPM2BSensitiveCreate{Sensitive: &tpm2.TPMSSensitiveCreate{
				UserAuth: tpm2.TPM2BAuth{Buffer: []byte("pin")},
				Data:     tpm2.NewTPMUSensitiveCreate(&tpm2.TPM2BSensitiveData{Buffer: []byte("secret")}),
			}},
		}.Execute(t)
		if err != nil {
			return err
		}
		o, err := tpm2.Load{ParentHandle: auth(srk), InPrivate: sealed.OutPrivate, InPublic: sealed.OutPublic}.Execute(t)
		if err != nil {
			return err
		}
		with := func(pin string) tpm2.AuthHandle {
			return tpm2.AuthHandle{Handle: o.ObjectHandle, Name: o.Name, Auth: tpm2.PasswordAuth([]byte(pin))}
		}
		if err := do(t, tpm2.Unseal{ItemHandle: with("wrong")}); !errors.Is(err, tpm2.TPMRCBadAuth) {
			return fmt.Errorf("a wrong PIN gives %v", err)
		}
		saved, err := tpm2.ContextSave{SaveHandle: o.ObjectHandle}.Execute(t)
		if err != nil {
			return err
		}
		again, err := tpm2.ContextLoad{Context: saved.Context}.Execute(t)
		if err != nil {
			return err
		}
		return errors.Join(
			do(t, tpm2.Unseal{ItemHandle: with("pin")}),
			do(t, tpm2.ObjectChangeAuth{ObjectHandle: with("pin"), ParentHandle: srk, NewAuth: tpm2.TPM2BAuth{Buffer: []byte("new")}}),
			do(t, tpm2.FlushContext{FlushHandle: again.LoadedHandle}),
			do(t, tpm2.FlushContext{FlushHandle: o.ObjectHandle}),
		)
	})
}

func playPolicies(t transport.TPM) error {
	s, err := tpm2.StartAuthSession{
		TPMKey: tpm2.TPMRHNull, Bind: tpm2.TPMRHNull, NonceCaller: tpm2.TPM2BNonce{Buffer: make([]byte, 16)},
		SessionType: tpm2.TPMSETrial, Symmetric: tpm2.TPMTSymDef{Algorithm: tpm2.TPMAlgNull}, AuthHash: tpm2.TPMAlgSHA256,
	}.Execute(t)
	if err != nil {
		return err
	}
	h := s.SessionHandle
	digest := tpm2.TPM2BDigest{Buffer: bytes.Repeat([]byte{7}, 32)}
	name := tpm2.TPM2BName{Buffer: append([]byte{0, 0xb}, digest.Buffer...)}
	pcrs := tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(0, 7)}}}
	get := func() error { return do(t, tpm2.PolicyGetDigest{PolicySession: h}) }
	return errors.Join(
		do(t, tpm2.PolicyPCR{PolicySession: h, Pcrs: pcrs}), get(),
		do(t, tpm2.PolicyAuthValue{PolicySession: h}), get(),
		do(t, tpm2.PolicyCommandCode{PolicySession: h, Code: tpm2.TPMCCUnseal}), get(),
		do(t, tpm2.PolicyOr{PolicySession: h, PHashList: tpm2.TPMLDigest{Digests: []tpm2.TPM2BDigest{digest, digest}}}), get(),
		do(t, tpm2.PolicyNVWritten{PolicySession: h, WrittenSet: true}), get(),
		do(t, tpm2.PolicySecret{AuthHandle: owner(), PolicySession: h}), get(),
		do(t, tpm2.PolicyAuthorize{PolicySession: h, ApprovedPolicy: digest, KeySign: name, CheckTicket: tpm2.TPMTTKVerified{Tag: tpm2.TPMSTVerified, Hierarchy: tpm2.TPMRHOwner}}), get(),
		do(t, tpm2.PolicyCPHash{PolicySession: h, CPHashA: digest}), get(),
		do(t, tpm2.FlushContext{FlushHandle: h}),
	)
}

func signTemplate(restricted bool) tpm2.TPMTPublic {
	return tpm2.TPMTPublic{
		Type: tpm2.TPMAlgECC, NameAlg: tpm2.TPMAlgSHA256,
		ObjectAttributes: tpm2.TPMAObject{FixedTPM: true, FixedParent: true, SensitiveDataOrigin: true, UserWithAuth: true, NoDA: true, SignEncrypt: true, Restricted: restricted},
		Parameters: tpm2.NewTPMUPublicParms(tpm2.TPMAlgECC, &tpm2.TPMSECCParms{
			CurveID: tpm2.TPMECCNistP256,
			Scheme:  tpm2.TPMTECCScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUAsymScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSigSchemeECDSA{HashAlg: tpm2.TPMAlgSHA256})},
		}),
	}
}

func playSigning(t transport.TPM) error {
	digest := sha256.Sum256([]byte("message"))
	ecdsa := tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgECDSA, Details: tpm2.NewTPMUSigScheme(tpm2.TPMAlgECDSA, &tpm2.TPMSSchemeHash{HashAlg: tpm2.TPMAlgSHA256})}
	pcrs := tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA256, PCRSelect: tpm2.PCClientCompatible.PCRs(0, 7)}}}
	none := tpm2.TPMTTKHashCheck{Tag: tpm2.TPMSTHashCheck, Hierarchy: tpm2.TPMRHNull}
	return withPrimary(t, signTemplate(false), func(key tpm2.NamedHandle) error {
		s, err := tpm2.Sign{KeyHandle: auth(key), Digest: tpm2.TPM2BDigest{Buffer: digest[:]}, InScheme: ecdsa, Validation: none}.Execute(t)
		if err != nil {
			return err
		}
		if err := do(t, tpm2.VerifySignature{KeyHandle: key.Handle, Digest: tpm2.TPM2BDigest{Buffer: digest[:]}, Signature: s.Signature}); err != nil {
			return err
		}
		return withPrimary(t, signTemplate(true), func(ak tpm2.NamedHandle) error {
			null := tpm2.TPMTSigScheme{Scheme: tpm2.TPMAlgNull}
			return errors.Join(
				do(t, tpm2.Quote{SignHandle: auth(ak), QualifyingData: tpm2.TPM2BData{Buffer: []byte("nonce")}, InScheme: null, PCRSelect: pcrs}),
				do(t, tpm2.Certify{ObjectHandle: auth(key), SignHandle: auth(ak), InScheme: null}),
				do(t, tpm2.GetTime{PrivacyAdminHandle: tpm2.TPMRHEndorsement, SignHandle: auth(ak), InScheme: null}),
			)
		})
	})
}

func playNV(t transport.TPM) error {
	for i, kind := range []tpm2.TPMNT{tpm2.TPMNTOrdinary, tpm2.TPMNTCounter, tpm2.TPMNTBits, tpm2.TPMNTExtend} {
		size := uint16(8)
		if kind == tpm2.TPMNTExtend {
			size = 32
		}
		index := tpm2.TPMHandle(0x01800000 + 0x110*i) // no flipped bit makes one of another
		public := tpm2.TPMSNVPublic{
			NVIndex: index, NameAlg: tpm2.TPMAlgSHA256, DataSize: size,
			Attributes: tpm2.TPMANV{OwnerWrite: true, OwnerRead: true, AuthRead: true, AuthWrite: true, NT: kind, NoDA: true},
		}
		if err := do(t, tpm2.NVDefineSpace{AuthHandle: owner(), PublicInfo: tpm2.New2B(public)}); err != nil {
			return fmt.Errorf("kind %d: %w", kind, err)
		}
		named := func() tpm2.NamedHandle {
			p, err := tpm2.NVReadPublic{NVIndex: index}.Execute(t)
			if err != nil {
				return tpm2.NamedHandle{Handle: index}
			}
			return tpm2.NamedHandle{Handle: index, Name: p.NVName}
		}
		if err := do(t, tpm2.NVRead{AuthHandle: owner(), NVIndex: named(), Size: size}); !errors.Is(err, tpm2.TPMRCNVUninitialized) {
			return fmt.Errorf("reading before writing gives %v", err)
		}
		var err error
		switch kind {
		case tpm2.TPMNTOrdinary:
			err = do(t, tpm2.NVWrite{AuthHandle: owner(), NVIndex: named(), Data: tpm2.TPM2BMaxNVBuffer{Buffer: []byte("12345678")}})
		case tpm2.TPMNTCounter:
			err = do(t, tpm2.NVIncrement{AuthHandle: owner(), NVIndex: named()})
		}
		if err != nil {
			return err
		}
		if kind == tpm2.TPMNTOrdinary {
			err = do(t, tpm2.NVRead{AuthHandle: owner(), NVIndex: named(), Size: size})
		}
		err = errors.Join(err, do(t, tpm2.NVUndefineSpace{AuthHandle: owner(), NVIndex: named()}))
		if err != nil {
			return err
		}
	}
	return nil
}

func playSequences(t transport.TPM) error {
	h, err := tpm2.HashSequenceStart{HashAlg: tpm2.TPMAlgSHA256}.Execute(t)
	if err != nil {
		return err
	}
	sequence := tpm2.AuthHandle{Handle: h.SequenceHandle, Name: tpm2.TPM2BName{}, Auth: tpm2.PasswordAuth(nil)}
	return errors.Join(
		do(t, tpm2.SequenceUpdate{SequenceHandle: sequence, Buffer: tpm2.TPM2BMaxBuffer{Buffer: []byte("part")}}),
		do(t, tpm2.SequenceComplete{SequenceHandle: sequence, Buffer: tpm2.TPM2BMaxBuffer{Buffer: []byte("end")}, Hierarchy: tpm2.TPMRHOwner}),
	)
}

func playHierarchies(t transport.TPM) error {
	return withPrimary(t, tpm2.ECCSRKTemplate, func(srk tpm2.NamedHandle) error {
		keep := tpm2.EvictControl{Auth: owner(), ObjectHandle: &srk, PersistentHandle: 0x81000010}
		if err := do(t, keep); err != nil {
			return err
		}
		there := tpm2.NamedHandle{Handle: 0x81000010, Name: srk.Name}
		return errors.Join(
			do(t, tpm2.ReadPublic{ObjectHandle: there.Handle}),
			do(t, tpm2.EvictControl{Auth: owner(), ObjectHandle: &there, PersistentHandle: 0x81000010}),
			do(t, tpm2.HierarchyChangeAuth{AuthHandle: owner(), NewAuth: tpm2.TPM2BAuth{Buffer: []byte("new")}}),
			do(t, tpm2.HierarchyChangeAuth{AuthHandle: tpm2.AuthHandle{Handle: tpm2.TPMRHOwner, Auth: tpm2.PasswordAuth([]byte("new"))}}),
		)
	})
}

func playDuplication(t transport.TPM) error {
	return withPrimary(t, tpm2.RSASRKTemplate, func(rsa tpm2.NamedHandle) error {
		c, err := tpm2.MakeCredential{Handle: rsa.Handle, Credential: tpm2.TPM2BDigest{Buffer: []byte("credential")}, ObjectName: rsa.Name}.Execute(t)
		if err != nil {
			return err
		}
		_ = c
		return withPrimary(t, tpm2.ECCSRKTemplate, func(ecc tpm2.NamedHandle) error {
			return do(t, tpm2.ReadPublic{ObjectHandle: ecc.Handle})
		})
	})
}
