package engine

import (
	"encoding/binary"
	"iter"
	"math/bits"
	"slices"

	"github.com/vtpmctl/vtpmctl/engine/internal/crypt"
)

// Limits of the implementation that size structures (part 2, annex on implementation-dependent values).
const (
	maxDigest       = 64
	maxSymData      = 128
	maxBuffer       = 1024
	maxNVSize       = 2048
	maxRSABytes     = 512
	maxECCBytes     = 66
	maxSymKey       = 32
	maxLabel        = 32
	maxContextBlob  = 4096
	maxPrivate      = 2048
	maxPCRs         = 24
	pcrSelectBytes  = maxPCRs / 8
	maxHashAlgs     = 5 // HASH_COUNT, which bounds lists of banks
	maxCommandSize  = 4096
	maxSessions     = 3 // per command
	maxAlgList      = 64
	maxCommandsList = 256
)

// The TPM2B types that hold plain bytes; each knows its limit.
type (
	digest2B    []byte // also TPM2B_NONCE, TPM2B_AUTH and TPM2B_OPERAND
	data2B      []byte
	buffer2B    []byte
	name2B      []byte
	iv2B        []byte
	timeout2B   []byte
	rsa2B       []byte
	private2B   []byte
	idObject2B  []byte
	template2B  []byte
	sensitive2B []byte // TPM2B_SENSITIVE_DATA
)

func (b *digest2B) code(c *coder)    { c.sized((*[]byte)(b), maxDigest) }
func (b *data2B) code(c *coder)      { c.sized((*[]byte)(b), maxDigest+2) }
func (b *buffer2B) code(c *coder)    { c.sized((*[]byte)(b), maxBuffer) }
func (b *name2B) code(c *coder)      { c.sized((*[]byte)(b), maxDigest+4) }
func (b *iv2B) code(c *coder)        { c.sized((*[]byte)(b), crypt.BlockSize) }
func (b *timeout2B) code(c *coder)   { c.sized((*[]byte)(b), 8) }
func (b *rsa2B) code(c *coder)       { c.sized((*[]byte)(b), maxRSABytes) }
func (b *private2B) code(c *coder)   { c.sized((*[]byte)(b), maxPrivate) }
func (b *idObject2B) code(c *coder)  { c.sized((*[]byte)(b), 2*maxDigest+4) }
func (b *template2B) code(c *coder)  { c.sized((*[]byte)(b), maxPrivate) }
func (b *sensitive2B) code(c *coder) { c.sized((*[]byte)(b), maxSymData) }

// box is a TPM2B around one structure.
type box[T any] struct{ V T }

func (b *box[T]) code(c *coder) { c.framed(func() { any(&b.V).(codable).code(c) }) }

func (b *box[T]) boxed() {}

// hash codes a TPMI_ALG_HASH.
func (c *coder) hash(v *uint16) {
	c.u16(v)
	c.require(crypt.HashSize(*v) != 0, rcHash)
}

// hashOrNull codes a TPMI_ALG_HASH+.
func (c *coder) hashOrNull(v *uint16) {
	c.u16(v)
	c.require(*v == crypt.AlgNull || crypt.HashSize(*v) != 0, rcHash)
}

// oneOf codes an identifier that must be one of those listed.
func (c *coder) oneOf(v *uint16, code rc, allowed ...uint16) {
	c.u16(v)
	c.require(slices.Contains(allowed, *v), code)
}

// hashAlg is a TPMI_ALG_HASH, hashAlgOrNull one that may be TPM_ALG_NULL.
type (
	hashAlg       uint16
	hashAlgOrNull uint16
)

func (h *hashAlg) code(c *coder)       { c.hash((*uint16)(h)) }
func (h *hashAlgOrNull) code(c *coder) { c.hashOrNull((*uint16)(h)) }

// yesNo is a TPMI_YES_NO.
type yesNo bool

func (b *yesNo) code(c *coder) { c.yesNo((*bool)(b)) }

// taggedDigest is a TPMT_HA: an algorithm and a digest of its size.
type taggedDigest struct {
	Alg    uint16
	Digest []byte
}

func (d *taggedDigest) code(c *coder) {
	c.hash(&d.Alg)
	c.fixed(&d.Digest, crypt.HashSize(d.Alg))
}

// digestValues is a TPML_DIGEST_VALUES.
type digestValues []taggedDigest

func (l *digestValues) code(c *coder) {
	list(c, (*[]taggedDigest)(l), maxHashAlgs, func(d *taggedDigest) { d.code(c) })
}

// digestList is a TPML_DIGEST.
type digestList []digest2B

func (l *digestList) code(c *coder) { list(c, (*[]digest2B)(l), 8, func(d *digest2B) { d.code(c) }) }

// branches is the TPML_DIGEST of TPM2_PolicyOR: one alone would be no choice.
type branches digestList

func (l *branches) code(c *coder) {
	count := *c.r
	c.require(count.U32() >= 2 || count.Err() != nil, rcSize)
	(*digestList)(l).code(c)
}

// pcrBank is a TPMS_PCR_SELECTION: a bank and a bit for each PCR. Size is how many bytes the bitmap takes on the wire.
type pcrBank struct {
	Alg  uint16
	Mask uint32
	Size uint8
}

func (s *pcrBank) code(c *coder) {
	c.hash(&s.Alg)
	c.u8(&s.Size)
	c.require(s.Size == pcrSelectBytes, rcValue) // PCR_SELECT_MIN equals PCR_SELECT_MAX here
	if c.err() != nil {
		return
	}
	var mask [4]byte
	if c.reading() {
		copy(mask[:], c.r.Bytes(pcrSelectBytes))
		s.Mask = binary.LittleEndian.Uint32(mask[:])
	} else {
		binary.LittleEndian.PutUint32(mask[:], s.Mask)
		c.w.Bytes(mask[:pcrSelectBytes])
	}
}

// pcrs are the numbers of the PCRs that the selection names, in order.
func (s pcrBank) pcrs() iter.Seq[int] {
	return func(yield func(int) bool) {
		for left := s.Mask; left != 0; left &= left - 1 {
			if !yield(bits.TrailingZeros32(left)) {
				return
			}
		}
	}
}

// has tells whether the selection names a PCR.
func (s pcrBank) has(pcr int) bool { return s.Mask>>pcr&1 == 1 }

// pcrSelection is a TPML_PCR_SELECTION.
type pcrSelection []pcrBank

func (l *pcrSelection) code(c *coder) {
	list(c, (*[]pcrBank)(l), maxHashAlgs, func(s *pcrBank) { s.code(c) })
}

// symDef is a TPMT_SYM_DEF or, with forObject, a TPMT_SYM_DEF_OBJECT. For XOR, KeyBits holds the hash algorithm.
type symDef struct{ Alg, KeyBits, Mode uint16 }

func (s *symDef) code(c *coder) { s.codeKind(c, crypt.AlgXOR, crypt.AlgNull) }

func (s *symDef) codeKind(c *coder, others ...uint16) {
	c.oneOf(&s.Alg, rcSymmetric, append(others, crypt.AlgAES, crypt.AlgSM4)...)
	switch s.Alg {
	case crypt.AlgXOR:
		c.hash(&s.KeyBits)
	case crypt.AlgAES, crypt.AlgSM4:
		c.u16(&s.KeyBits)
		c.require(slices.Contains(crypt.CipherKeyBits(s.Alg), int(s.KeyBits)), rcValue)
		c.oneOf(&s.Mode, rcMode, crypt.AlgCTR, crypt.AlgOFB, crypt.AlgCBC, crypt.AlgCFB, crypt.AlgECB, crypt.AlgNull)
	}
}

func (s symDef) isCipher() bool { return s.Alg == crypt.AlgAES || s.Alg == crypt.AlgSM4 }

// keyBytes is the size of the key of a block cipher.
func (s symDef) keyBytes() int { return int(s.KeyBits) / 8 }

// scheme is any of the unions that name a method and its hash: TPMT_RSA_SCHEME, TPMT_ECC_SCHEME, TPMT_SIG_SCHEME,
// TPMT_KDF_SCHEME, TPMT_KEYEDHASH_SCHEME, TPMT_RSA_DECRYPT. KDF belongs to XOR, Count to ECDAA.
type scheme struct{ Alg, Hash, KDF, Count uint16 }

// The families of schemes, each with the code of an unknown member (part 2, 11.2).
var (
	rsaSchemes       = []uint16{crypt.AlgNull, crypt.AlgRSASSA, crypt.AlgRSAES, crypt.AlgRSAPSS, crypt.AlgOAEP}
	rsaDecrypts      = []uint16{crypt.AlgNull, crypt.AlgRSAES, crypt.AlgOAEP}
	eccSchemes       = []uint16{crypt.AlgNull, crypt.AlgECDSA, crypt.AlgECDH, crypt.AlgECDAA, crypt.AlgSM2, crypt.AlgECSchnorr, crypt.AlgECMQV}
	kdfSchemes       = []uint16{crypt.AlgNull, crypt.AlgMGF1, crypt.AlgKDF1SP80056A, crypt.AlgKDF2, crypt.AlgKDF1SP800108}
	keyedHashSchemes = []uint16{crypt.AlgNull, crypt.AlgHMAC, crypt.AlgXOR}
	sigSchemes       = []uint16{crypt.AlgNull, crypt.AlgRSASSA, crypt.AlgRSAPSS, crypt.AlgECDSA, crypt.AlgECDAA, crypt.AlgSM2, crypt.AlgECSchnorr, crypt.AlgHMAC}
)

func (s *scheme) codeOf(c *coder, code rc, family []uint16) {
	c.oneOf(&s.Alg, code, family...)
	switch s.Alg {
	case crypt.AlgNull, crypt.AlgRSAES:
	case crypt.AlgXOR:
		c.hash(&s.Hash)
		c.oneOf(&s.KDF, rcKDF, kdfSchemes...)
	case crypt.AlgECDAA:
		c.hash(&s.Hash)
		c.u16(&s.Count)
	default:
		c.hash(&s.Hash)
	}
}

// sigScheme is a TPMT_SIG_SCHEME+.
type sigScheme struct{ scheme }

func (s *sigScheme) code(c *coder) { s.codeOf(c, rcScheme, sigSchemes) }

// kdfScheme is a TPMT_KDF_SCHEME+.
type kdfScheme struct{ scheme }

func (s *kdfScheme) code(c *coder) { s.codeOf(c, rcKDF, kdfSchemes) }

// rsaDecrypt is a TPMT_RSA_DECRYPT+.
type rsaDecrypt struct{ scheme }

func (s *rsaDecrypt) code(c *coder) { s.codeOf(c, rcValue, rsaDecrypts) }

// signature is a TPMT_SIGNATURE: Sig for RSA and HMAC, R and S for curves.
type signature struct {
	Alg, Hash uint16
	Sig, R, S []byte
}

func (s *signature) code(c *coder) {
	c.oneOf(&s.Alg, rcScheme, sigSchemes...)
	c.require(s.Alg != crypt.AlgNull, rcScheme) // no command takes an empty one
	if s.Alg == crypt.AlgNull {
		return
	}
	c.hash(&s.Hash)
	switch s.Alg {
	case crypt.AlgRSASSA, crypt.AlgRSAPSS:
		c.sized(&s.Sig, maxRSABytes)
	case crypt.AlgHMAC:
		c.fixed(&s.Sig, crypt.HashSize(s.Hash))
	default:
		c.sized(&s.R, maxECCBytes)
		c.sized(&s.S, maxECCBytes)
	}
}

// eccPoint is a TPMS_ECC_POINT.
type eccPoint struct{ X, Y []byte }

func (p *eccPoint) code(c *coder) {
	c.sized(&p.X, maxECCBytes)
	c.sized(&p.Y, maxECCBytes)
}

// ticket is a TPMT_TK: proof that this TPM checked or made something. An empty digest is a NULL ticket.
type ticket struct {
	Tag       uint16
	Hierarchy handle
	Digest    []byte
}

func (t *ticket) codeOf(c *coder, tags ...uint16) {
	c.u16(&t.Tag)
	c.require(slices.Contains(structureTags, t.Tag), rcValue)
	c.require(slices.Contains(tags, t.Tag), rcTag)
	c.u32((*uint32)(&t.Hierarchy))
	c.require(t.Hierarchy.isHierarchy(), rcValue)
	c.sized(&t.Digest, maxDigest)
}

// structureTags are the values of TPM_ST: another is no tag at all, rather than a wrong one.
var structureTags = []uint16{0x00c4, 0x8000, stNoSessions, stSessions, stAttestNV, stAttestCommand, stAttestSession,
	stAttestCertify, stAttestQuote, stAttestTime, stAttestCreation, stAttestNVDigest, stCreation, stVerified, stAuthSecret,
	stHashCheck, stAuthSigned, 0x8029}

// The kinds of tickets differ in the tags they accept.
type (
	creationTicket struct{ ticket }
	verifiedTicket struct{ ticket }
	authTicket     struct{ ticket }
	hashTicket     struct{ ticket }
)

func (t *creationTicket) code(c *coder) { t.codeOf(c, stCreation) }
func (t *verifiedTicket) code(c *coder) { t.codeOf(c, stVerified) }
func (t *authTicket) code(c *coder)     { t.codeOf(c, stAuthSigned, stAuthSecret) }
func (t *hashTicket) code(c *coder)     { t.codeOf(c, stHashCheck) }

// isHierarchy tells whether h is a TPMI_RH_HIERARCHY+.
func (h handle) isHierarchy() bool {
	return h == rhOwner || h == rhEndorsement || h == rhPlatform || h == rhNull
}

// hierarchyParam is a TPMI_RH_HIERARCHY+ that is no handle of the command, persistentParam such a TPMI_DH_PERSISTENT.
type (
	hierarchyParam  handle
	persistentParam handle
)

func (v *hierarchyParam) code(c *coder) {
	c.u32((*uint32)(v))
	c.require(handle(*v).isHierarchy(), rcValue)
}

func (v *persistentParam) code(c *coder) {
	c.u32((*uint32)(v))
	c.require(handle(*v).kind() == htPersistent, rcValue)
}

// savedContext is a TPMS_CONTEXT.
type savedContext struct {
	Sequence  uint64
	Handle    handle
	Hierarchy handle
	Blob      []byte
}

func (s *savedContext) code(c *coder) {
	c.u64(&s.Sequence)
	c.u32((*uint32)(&s.Handle))
	k := s.Handle.kind()
	c.require(k == htHMACSession || k == htPolicySession || k == htTransient, rcValue)
	c.u32((*uint32)(&s.Hierarchy))
	c.require(s.Hierarchy.isHierarchy(), rcValue)
	c.sized(&s.Blob, maxContextBlob)
}
