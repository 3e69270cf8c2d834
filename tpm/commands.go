package tpm

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// commandShape is what the layers need to know of a command: part 3 gives the handles, and the effect is ours.
type commandShape struct {
	name    string // of part 3, without "TPM2_"
	handles int    // in the command's handle area
	answers bool   // with a handle: something was created that somebody has to flush
	effect  Effects
}

// commandNitroAttest is AWS NitroTPM's vendor command for an attestation document. It reads.
const commandNitroAttest tpm2.TPMCC = 0x20000001

// Commands of later revisions that go-tpm has no names for.
const commandNVDefineSpace2 tpm2.TPMCC = 0x19d

// commandShapes holds the commands of part 3 up to revision 1.84. A command that is not here counts as able to do
// anything: see effectsOf.
var commandShapes = map[tpm2.TPMCC]commandShape{
	0x11F:      {"NV_UndefineSpaceSpecial", 2, false, WritesNV},
	0x120:      {"EvictControl", 2, false, Persists},
	0x121:      {"HierarchyControl", 1, false, Clears},
	0x122:      {"NV_UndefineSpace", 2, false, WritesNV},
	0x124:      {"ChangeEPS", 1, false, Clears},
	0x125:      {"ChangePPS", 1, false, Clears},
	0x126:      {"Clear", 1, false, Clears},
	0x127:      {"ClearControl", 1, false, Clears},
	0x128:      {"ClockSet", 1, false, Clears},
	0x129:      {"HierarchyChangeAuth", 1, false, Clears},
	0x12A:      {"NV_DefineSpace", 1, false, WritesNV},
	0x12B:      {"PCR_Allocate", 1, false, Clears},
	0x12C:      {"PCR_SetAuthPolicy", 1, false, Clears},
	0x12D:      {"PP_Commands", 1, false, Clears},
	0x12E:      {"SetPrimaryPolicy", 1, false, Clears},
	0x12F:      {"FieldUpgradeStart", 2, false, Clears},
	0x130:      {"ClockRateAdjust", 1, false, Clears},
	0x131:      {"CreatePrimary", 1, true, 0},
	0x132:      {"NV_GlobalWriteLock", 1, false, WritesNV | Clears},
	0x133:      {"GetCommandAuditDigest", 2, false, 0},
	0x134:      {"NV_Increment", 2, false, WritesNV},
	0x135:      {"NV_SetBits", 2, false, WritesNV},
	0x136:      {"NV_Extend", 2, false, WritesNV},
	0x137:      {"NV_Write", 2, false, WritesNV},
	0x138:      {"NV_WriteLock", 2, false, WritesNV},
	0x139:      {"DictionaryAttackLockReset", 1, false, Clears},
	0x13A:      {"DictionaryAttackParameters", 1, false, Clears},
	0x13B:      {"NV_ChangeAuth", 1, false, WritesNV},
	0x13C:      {"PCR_Event", 1, false, Extends},
	0x13D:      {"PCR_Reset", 1, false, Extends},
	0x13E:      {"SequenceComplete", 1, false, 0},
	0x13F:      {"SetAlgorithmSet", 1, false, Clears},
	0x140:      {"SetCommandCodeAuditStatus", 1, false, Clears},
	0x141:      {"FieldUpgradeData", 0, false, Clears},
	0x142:      {"IncrementalSelfTest", 0, false, 0},
	0x143:      {"SelfTest", 0, false, 0},
	0x144:      {"Startup", 0, false, Clears},
	0x145:      {"Shutdown", 0, false, Clears},
	0x146:      {"StirRandom", 0, false, 0},
	0x147:      {"ActivateCredential", 2, false, 0},
	0x148:      {"Certify", 2, false, 0},
	0x149:      {"PolicyNV", 3, false, 0},
	0x14A:      {"CertifyCreation", 2, false, 0},
	0x14B:      {"Duplicate", 2, false, 0},
	0x14C:      {"GetTime", 2, false, 0},
	0x14D:      {"GetSessionAuditDigest", 3, false, 0},
	0x14E:      {"NV_Read", 2, false, 0},
	0x14F:      {"NV_ReadLock", 2, false, WritesNV},
	0x150:      {"ObjectChangeAuth", 2, false, 0},
	0x151:      {"PolicySecret", 2, false, 0},
	0x152:      {"Rewrap", 2, false, 0},
	0x153:      {"Create", 1, false, 0},
	0x154:      {"ECDH_ZGen", 1, false, 0},
	0x155:      {"HMAC", 1, false, 0},
	0x156:      {"Import", 1, false, 0},
	0x157:      {"Load", 1, true, 0},
	0x158:      {"Quote", 1, false, 0},
	0x159:      {"RSA_Decrypt", 1, false, 0},
	0x15B:      {"HMAC_Start", 1, true, 0},
	0x15C:      {"SequenceUpdate", 1, false, 0},
	0x15D:      {"Sign", 1, false, 0},
	0x15E:      {"Unseal", 1, false, 0},
	0x160:      {"PolicySigned", 2, false, 0},
	0x161:      {"ContextLoad", 0, true, 0},
	0x162:      {"ContextSave", 1, false, 0},
	0x163:      {"ECDH_KeyGen", 1, false, 0},
	0x164:      {"EncryptDecrypt", 1, false, 0},
	0x165:      {"FlushContext", 0, false, 0},
	0x167:      {"LoadExternal", 0, true, 0},
	0x168:      {"MakeCredential", 1, false, 0},
	0x169:      {"NV_ReadPublic", 1, false, 0},
	0x16A:      {"PolicyAuthorize", 1, false, 0},
	0x16B:      {"PolicyAuthValue", 1, false, 0},
	0x16C:      {"PolicyCommandCode", 1, false, 0},
	0x16D:      {"PolicyCounterTimer", 1, false, 0},
	0x16E:      {"PolicyCpHash", 1, false, 0},
	0x16F:      {"PolicyLocality", 1, false, 0},
	0x170:      {"PolicyNameHash", 1, false, 0},
	0x171:      {"PolicyOR", 1, false, 0},
	0x172:      {"PolicyTicket", 1, false, 0},
	0x173:      {"ReadPublic", 1, false, 0},
	0x174:      {"RSA_Encrypt", 1, false, 0},
	0x176:      {"StartAuthSession", 2, true, 0},
	0x177:      {"VerifySignature", 1, false, 0},
	0x178:      {"ECC_Parameters", 0, false, 0},
	0x179:      {"FirmwareRead", 0, false, 0},
	0x17A:      {"GetCapability", 0, false, 0},
	0x17B:      {"GetRandom", 0, false, 0},
	0x17C:      {"GetTestResult", 0, false, 0},
	0x17D:      {"Hash", 0, false, 0},
	0x17E:      {"PCR_Read", 0, false, 0},
	0x17F:      {"PolicyPCR", 1, false, 0},
	0x180:      {"PolicyRestart", 1, false, 0},
	0x181:      {"ReadClock", 0, false, 0},
	0x182:      {"PCR_Extend", 1, false, Extends},
	0x183:      {"PCR_SetAuthValue", 1, false, Clears},
	0x184:      {"NV_Certify", 3, false, 0},
	0x185:      {"EventSequenceComplete", 2, false, Extends},
	0x186:      {"HashSequenceStart", 0, true, 0},
	0x187:      {"PolicyPhysicalPresence", 1, false, 0},
	0x188:      {"PolicyDuplicationSelect", 1, false, 0},
	0x189:      {"PolicyGetDigest", 1, false, 0},
	0x18A:      {"TestParms", 0, false, 0},
	0x18B:      {"Commit", 1, false, 0},
	0x18C:      {"PolicyPassword", 1, false, 0},
	0x18D:      {"ZGen_2Phase", 1, false, 0},
	0x18E:      {"EC_Ephemeral", 0, false, 0},
	0x18F:      {"PolicyNvWritten", 1, false, 0},
	0x190:      {"PolicyTemplate", 1, false, 0},
	0x191:      {"CreateLoaded", 1, true, 0},
	0x192:      {"PolicyAuthorizeNV", 3, false, 0},
	0x193:      {"EncryptDecrypt2", 1, false, 0},
	0x194:      {"AC_GetCapability", 1, false, 0},
	0x195:      {"AC_Send", 3, false, 0},
	0x196:      {"Policy_AC_SendSelect", 1, false, 0},
	0x197:      {"CertifyX509", 2, false, 0},
	0x198:      {"ACT_SetTimeout", 1, false, Clears},
	0x199:      {"ECC_Encrypt", 1, false, 0},
	0x19A:      {"ECC_Decrypt", 1, false, 0},
	0x19B:      {"PolicyCapability", 1, false, 0},
	0x19C:      {"PolicyParameters", 1, false, 0},
	0x19D:      {"NV_DefineSpace2", 1, false, WritesNV},
	0x19E:      {"NV_ReadPublic2", 1, false, 0},
	0x19F:      {"SetCapability", 1, false, Clears},
	0x1A0:      {"ReadOnlyControl", 1, false, Clears},
	0x1A1:      {"PolicyTransportSPDM", 1, false, 0},
	0x20000000: {"Vendor_TCG_Test", 0, false, 0},

	commandNitroAttest: {"NitroTPM_Attest", 0, false, 0},
}

// everything is the effect of a command nobody described.
const everything = Extends | Persists | WritesNV | UsesDA | Clears

// CommandName is the name of a command as part 3 prints it, such as "TPM2_PCR_Extend".
func CommandName(cc tpm2.TPMCC) string {
	if shape, ok := commandShapes[cc]; ok {
		return "TPM2_" + shape.name
	}
	return fmt.Sprintf("TPM2_CC(0x%08x)", uint32(cc))
}

// command is what the layers see of a marshalled command. Nothing in it is secret: of the auth area only the sessions'
// handles and whether they go on are kept.
type command struct {
	code     tpm2.TPMCC
	handles  []tpm2.TPMHandle
	sessions []sessionUse
	params   []byte // may be encrypted and may be secret: look at what the table below says is a handle, print nothing
}

// sessionUse is one entry of an auth area.
type sessionUse struct {
	handle   tpm2.TPMHandle
	goesOn   bool // continueSession
	password bool // TPM_RS_PW with an auth value
}

// parseCommand reads a command by its shape (part 1, section 18.2). What does not parse yields what was read until
// there: the TPM will refuse such a command, and that is the TPM's to say.
func parseCommand(cmd []byte) command {
	r := wire.BE(cmd)
	tag := tpm2.TPMST(r.U16())
	r.U32()
	c := command{code: tpm2.TPMCC(r.U32())}
	for range commandShapes[c.code].handles {
		h := tpm2.TPMHandle(r.U32())
		if r.Err() != nil {
			return c
		}
		c.handles = append(c.handles, h)
	}
	if tag == tpm2.TPMSTSessions {
		area := wire.BE(r.Sized32())
		for area.Len() > 0 && area.Err() == nil {
			c.sessions = append(c.sessions, parseSession(area))
		}
	}
	c.params = r.Rest()
	return c
}

// parseSession reads one TPMS_AUTH_COMMAND (part 2, section 10.13.2).
func parseSession(r *wire.Reader) sessionUse {
	const continueSession = 1
	s := sessionUse{handle: tpm2.TPMHandle(r.U32())}
	r.Sized16() // nonceCaller
	s.goesOn = r.U8()&continueSession != 0
	s.password = len(r.Sized16()) > 0 && s.handle == tpm2.TPMRSPW
	return s
}

// paramHandle reads the handle that the parameters of EvictControl and FlushContext start with.
func (c command) paramHandle() (tpm2.TPMHandle, bool) {
	if c.code != tpm2.TPMCCEvictControl && c.code != tpm2.TPMCCFlushContext {
		return 0, false
	}
	r := wire.BE(c.params)
	h := tpm2.TPMHandle(r.U32())
	return h, r.Err() == nil
}

// responseHandle is the handle in a successful answer to c.
func (c command) responseHandle(rsp []byte) (tpm2.TPMHandle, bool) {
	if !commandShapes[c.code].answers || len(rsp) < headerSize || responseCode(rsp) != tpm2.TPMRCSuccess {
		return 0, false
	}
	r := wire.BE(rsp[headerSize:])
	h := tpm2.TPMHandle(r.U32())
	return h, r.Err() == nil
}

// definedIndex reads the index from the parameters of NV_DefineSpace: after the auth value, which may be encrypted but
// keeps its size, comes a TPM2B_NV_PUBLIC that starts with it (part 3, section 31.3). The index stands in the clear:
// only the first parameter is ever encrypted. NV_DefineSpace2 has a TPMT_NV_PUBLIC_2, with a handle type before it.
func (c command) definedIndex() (tpm2.TPMHandle, bool) {
	r := wire.BE(c.params)
	r.Sized16()
	r.U16()
	if c.code == commandNVDefineSpace2 {
		r.U8()
	}
	h := tpm2.TPMHandle(r.U32())
	return h, r.Err() == nil && handleType(h) == tpm2.TPMHTNVIndex
}
