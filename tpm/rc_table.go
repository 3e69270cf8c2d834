package tpm

import (
	"sync"

	"github.com/google/go-tpm/tpm2"

	"github.com/vtpmctl/vtpmctl/internal/fail"
)

// codeEntry is what the tables say of a code: its name without prefix, one sentence, the kind, and one piece of advice.
type codeEntry struct {
	name  string
	kind  fail.Kind
	means string
	hint  string // "" where nothing can be advised
}

func (e codeEntry) hints() []string {
	if e.hint == "" {
		return []string{}
	}
	return []string{e.hint}
}

// Advice that several codes share.
const (
	adviseBug      = "this is a fault of the program that sent the command; run it with -vv and report the trace"
	adviseInfo     = "vtpmctl info lists what this TPM supports"
	adviseFlush    = "vtpmctl flush all frees what other programs left behind; --tpm dev:/dev/tpmrm0 keeps them apart"
	adviseAgain    = "run the same command again"
	adviseReset    = "restart the machine or its TPM"
	adviseOtherTPM = "it belongs to another TPM, or to this one before it was cleared; make it again here"
	adviseLockout  = "vtpmctl lockout show tells how many tries are left"
)

// Each table is made when it is first looked at: most processes never meet an error.

// tpmCodes are the response codes of part 2, section 6.6.3, up to revision 1.85, without position. Format 0 has bit 8
// set, format 1 bit 7, warnings both bit 8 and bit 11.
var tpmCodes = sync.OnceValue(func() map[uint32]codeEntry {
	return map[uint32]codeEntry{
		0x000: {"SUCCESS", fail.Failed, "the command was carried out", ""},
		0x01e: {"BAD_TAG", fail.Unsupported, "the TPM does not know the command's tag: it is a TPM 1.2, or the message is garbled",
			"give the machine a TPM 2.0"},

		0x100: {"INITIALIZE", fail.Failed, "the TPM has not been started since it was switched on, or was started twice",
			"firmware sends TPM2_Startup; start an emulator with --flags startup-clear"},
		0x101: {"FAILURE", fail.Failed, "the TPM has failed its self-test and answers no other command",
			"switch the machine off and on; if it stays, the TPM or its state file is damaged"},
		0x103: {"SEQUENCE", fail.Failed, "a hash or HMAC sequence was used in a way it was not started for", adviseBug},
		0x10b: {"PRIVATE", fail.Failed, "a reserved code of the specification", ""},
		0x119: {"HMAC", fail.Failed, "a reserved code of the specification", ""},
		0x120: {"DISABLED", fail.Unsupported, "the command or its hierarchy is switched off",
			"switch the hierarchy on in the firmware's setup (\"TPM\" or \"security device\")"},
		0x121: {"EXCLUSIVE", fail.Temporary, "another command came between those of an exclusive audit session", adviseAgain},
		0x124: {"AUTH_TYPE", fail.Failed, "this handle cannot be authorized for this command in that way", adviseBug},
		0x125: {"AUTH_MISSING", fail.AuthRefused, "the command needs an authorization that was not sent", adviseBug},
		0x126: {"POLICY", fail.PolicyMismatch, "the policy session holds no policy that can be evaluated", adviseBug},
		0x127: {"PCR", fail.Unsupported, "this PCR cannot be used in that way", "vtpmctl help pcrs says which PCRs can be reset and extended"},
		0x128: {"PCR_CHANGED", fail.Temporary, "a PCR was extended between the making of the policy and its use", adviseAgain},
		0x12d: {"UPGRADE", fail.Failed, "the TPM is in the middle of a firmware upgrade", "finish the upgrade with the vendor's tool"},
		0x12e: {"TOO_MANY_CONTEXTS", fail.TPMFull, "the counter of saved contexts has run out", adviseReset},
		0x12f: {"AUTH_UNAVAILABLE", fail.AuthRefused, "the auth value or policy of this object cannot be used for this command",
			"an object without userWithAuth needs a policy session; a PIN alone does not open it"},
		0x130: {"REBOOT", fail.Failed, "the TPM must be restarted before it goes on", adviseReset},
		0x131: {"UNBALANCED", fail.Usage, "the strengths of the digest and the cipher do not fit together", "choose SHA-256 with AES-128, or SHA-384 with AES-256"},
		0x142: {"COMMAND_SIZE", fail.Failed, "the command's size is not what its header claims", adviseBug},
		0x143: {"COMMAND_CODE", fail.Unsupported, "this TPM does not implement the command", adviseInfo},
		0x144: {"AUTHSIZE", fail.Failed, "the authorization area is too small or too large", adviseBug},
		0x145: {"AUTH_CONTEXT", fail.Failed, "sessions were sent with a command that takes none", adviseBug},
		0x146: {"NV_RANGE", fail.Usage, "offset and size reach beyond the end of the NV index", "tpm2_nvreadpublic shows the size of each index"},
		0x147: {"NV_SIZE", fail.Unsupported, "the NV index would be larger than this TPM allows", adviseInfo},
		0x148: {"NV_LOCKED", fail.Failed, "the NV index is locked until the TPM restarts, or for good",
			"tpm2_nvreadpublic shows the locks; a read or write lock that is not permanent ends with a restart"},
		0x149: {"NV_AUTHORIZATION", fail.AuthRefused, "the NV index may not be used with this kind of authorization",
			"tpm2_nvreadpublic shows who may read and write it: owner, auth value or policy"},
		0x14a: {"NV_UNINITIALIZED", fail.Failed, "the NV index has never been written", "write it first"},
		0x14b: {"NV_SPACE", fail.TPMFull, "the TPM has no room for another NV index or persistent object",
			"remove one that is no longer needed; vtpmctl info shows what is left"},
		0x14c: {"NV_DEFINED", fail.OutputExists, "there is an NV index or persistent object at this handle already", "choose a free handle"},
		0x150: {"BAD_CONTEXT", fail.WrongTPM, "the saved context is not valid", adviseOtherTPM},
		0x151: {"CPHASH", fail.PolicyMismatch, "the policy was made for other parameters, or limits the command twice", ""},
		0x152: {"PARENT", fail.Failed, "this handle cannot be the parent of the object", "the parent must be a restricted decryption key, such as the SRK"},
		0x153: {"NEEDS_TEST", fail.Temporary, "the function has to be self-tested first", adviseAgain},
		0x154: {"NO_RESULT", fail.Failed, "the TPM could not carry out the computation with these values", ""},
		0x155: {"SENSITIVE", fail.BadInput, "the private part does not decode after decryption", "the file is damaged, or was made for another parent"},
		0x156: {"READ_ONLY", fail.Failed, "the TPM is in read-only mode", adviseReset},

		0x081: {"ASYMMETRIC", fail.Unsupported, "the asymmetric algorithm is not supported or does not fit here", adviseInfo},
		0x082: {"ATTRIBUTES", fail.Failed, "the attributes contradict each other or forbid this use", "a restricted key signs only what the TPM itself made; a decryption key does not sign"},
		0x083: {"HASH", fail.Unsupported, "the hash algorithm is not supported or does not fit here", adviseInfo},
		0x084: {"VALUE", fail.Failed, "a value is out of range or not right in this context", ""},
		0x085: {"HIERARCHY", fail.Unsupported, "the hierarchy is switched off or not right for this command", "the hierarchy may be switched off in the firmware's setup"},
		0x087: {"KEY_SIZE", fail.Unsupported, "the key size is not supported", adviseInfo},
		0x088: {"MGF", fail.Unsupported, "the mask generation function is not supported", ""},
		0x089: {"MODE", fail.Unsupported, "the mode of the cipher is not supported", adviseInfo},
		0x08a: {"TYPE", fail.Failed, "the object is of the wrong type for this command", ""},
		0x08b: {"HANDLE", fail.Failed, "there is nothing at this handle, or it is of the wrong kind for this command",
			"vtpmctl info lists the handles in use"},
		0x08c: {"KDF", fail.Unsupported, "the key derivation function is not supported or does not fit here", ""},
		0x08d: {"RANGE", fail.Usage, "a value is outside the range this TPM allows", adviseInfo},
		0x08e: {"AUTH_FAIL", fail.AuthRefused, "the PIN or auth value is wrong, and the try was counted", adviseLockout},
		0x08f: {"NONCE", fail.Failed, "the nonce has the wrong size or value", adviseBug},
		0x090: {"PP", fail.Permission, "the command needs physical presence at the machine", "it can be done from the firmware's setup only"},
		0x092: {"SCHEME", fail.Unsupported, "the signing or encryption scheme is not supported or does not fit the key", adviseInfo},
		0x095: {"SIZE", fail.Unsupported, "a value is longer or shorter than this TPM takes", adviseInfo},
		0x096: {"SYMMETRIC", fail.Unsupported, "the symmetric algorithm or key size is not supported or does not fit here", adviseInfo},
		0x097: {"TAG", fail.Failed, "a structure's tag is wrong", adviseBug},
		0x098: {"SELECTOR", fail.Failed, "a union's selector is wrong", adviseBug},
		0x09a: {"INSUFFICIENT", fail.Failed, "the command ends in the middle of a value", adviseBug},
		0x09b: {"SIGNATURE", fail.AnswerNo, "the signature is not valid", "it was made with another key, or over other data"},
		0x09c: {"KEY", fail.Failed, "the key does not fit this use", ""},
		0x09d: {"POLICY_FAIL", fail.PolicyMismatch, "what the policy demands is not so", "vtpmctl pcr read shows the PCRs the policy is measured against"},
		0x09f: {"INTEGRITY", fail.WrongTPM, "the integrity check of the object failed", adviseOtherTPM},
		0x0a0: {"TICKET", fail.Failed, "the ticket is not valid on this TPM", "tickets hold until the TPM restarts or is cleared; make it again"},
		0x0a1: {"RESERVED_BITS", fail.Failed, "bits are set that must be zero", adviseBug},
		0x0a2: {"BAD_AUTH", fail.AuthRefused, "the PIN or auth value is wrong; the try was not counted", "check the PIN, and that its file has no line feed at its end"},
		0x0a3: {"EXPIRED", fail.PolicyMismatch, "the policy's authorization has expired", "ask for a new one"},
		0x0a4: {"POLICY_CC", fail.PolicyMismatch, "the policy allows another command than this one", ""},
		0x0a5: {"BINDING", fail.BadInput, "the public and the private part do not belong together", "the two come from different objects, or one is damaged"},
		0x0a6: {"CURVE", fail.Unsupported, "the elliptic curve is not supported", adviseInfo},
		0x0a7: {"ECC_POINT", fail.BadInput, "the point is not on the curve", ""},
		0x0a8: {"FW_LIMITED", fail.Unsupported, "the hierarchy is bound to the firmware, and the TPM cannot do that", ""},
		0x0a9: {"SVN_LIMITED", fail.Unsupported, "the hierarchy is bound to a firmware security version this TPM does not have", ""},
		0x0aa: {"PARMS", fail.Unsupported, "the parameter set is not supported", adviseInfo},
		0x0ab: {"EXT_MU", fail.Unsupported, "a message representative computed outside is not supported", ""},
		0x0ac: {"ONE_SHOT_SIGNATURE", fail.Unsupported, "this key signs short messages only", ""},
		0x0ad: {"SIGN_CONTEXT_KEY", fail.Failed, "the signature is finished with another key than it was started with", adviseBug},
		0x0b0: {"CHANNEL", fail.Unsupported, "the command needs a secure channel to the TPM", ""},
		0x0b1: {"CHANNEL_KEY", fail.Unsupported, "the secure channel was made with a key the policy does not name", ""},

		0x901: {"CONTEXT_GAP", fail.TPMFull, "a saved session is too old to be loaded again: too many came after it", adviseFlush},
		0x902: {"OBJECT_MEMORY", fail.TPMFull, "the TPM has no free slot for another object", adviseFlush},
		0x903: {"SESSION_MEMORY", fail.TPMFull, "the TPM has no free slot for another session", adviseFlush},
		0x904: {"MEMORY", fail.TPMFull, "the TPM is out of memory", adviseFlush},
		0x905: {"SESSION_HANDLES", fail.TPMFull, "all session handles are in use", adviseFlush},
		0x906: {"OBJECT_HANDLES", fail.TPMFull, "all object handles are in use", adviseFlush},
		0x907: {"LOCALITY", fail.Permission, "this locality may not do that", "only firmware and the kernel reach localities other than 0"},
		0x908: {"YIELDED", fail.Temporary, "the TPM stopped the command to do something else", adviseAgain},
		0x909: {"CANCELED", fail.Temporary, "the command was cancelled", adviseAgain},
		0x90a: {"TESTING", fail.Temporary, "the TPM is testing itself", adviseAgain},
		0x910: {"REFERENCE_H0", fail.Failed, "the first handle names an object that is not loaded", adviseBug},
		0x911: {"REFERENCE_H1", fail.Failed, "the second handle names an object that is not loaded", adviseBug},
		0x912: {"REFERENCE_H2", fail.Failed, "the third handle names an object that is not loaded", adviseBug},
		0x913: {"REFERENCE_H3", fail.Failed, "the fourth handle names an object that is not loaded", adviseBug},
		0x914: {"REFERENCE_H4", fail.Failed, "the fifth handle names an object that is not loaded", adviseBug},
		0x915: {"REFERENCE_H5", fail.Failed, "the sixth handle names an object that is not loaded", adviseBug},
		0x916: {"REFERENCE_H6", fail.Failed, "the seventh handle names an object that is not loaded", adviseBug},
		0x918: {"REFERENCE_S0", fail.Failed, "the first session is not loaded", adviseBug},
		0x919: {"REFERENCE_S1", fail.Failed, "the second session is not loaded", adviseBug},
		0x91a: {"REFERENCE_S2", fail.Failed, "the third session is not loaded", adviseBug},
		0x91b: {"REFERENCE_S3", fail.Failed, "the fourth session is not loaded", adviseBug},
		0x91c: {"REFERENCE_S4", fail.Failed, "the fifth session is not loaded", adviseBug},
		0x91d: {"REFERENCE_S5", fail.Failed, "the sixth session is not loaded", adviseBug},
		0x91e: {"REFERENCE_S6", fail.Failed, "the seventh session is not loaded", adviseBug},
		0x920: {"NV_RATE", fail.Temporary, "the TPM limits how often its NV memory is written", "wait a moment, then " + adviseAgain},
		0x921: {"LOCKOUT", fail.Lockout, "too many wrong PINs: the TPM refuses all auth values that count, right ones too",
			"vtpmctl lockout show tells when it ends; vtpmctl lockout reset ends it with the lockout password"},
		0x922: {"RETRY", fail.Temporary, "the TPM was not able to start the command", adviseAgain},
		0x923: {"NV_UNAVAILABLE", fail.Temporary, "the TPM's NV memory cannot be written at the moment", adviseAgain},
		0x97f: {"NOT_USED", fail.Failed, "a reserved code of the specification", ""},
	}
})

// commandCode is a code as one command uses it.
type commandCode struct {
	cc   tpm2.TPMCC
	base uint32
}

// commandCodes say more where a command gives a code a sharper meaning. Their name is that of tpmCodes.
var commandCodes = sync.OnceValue(func() map[commandCode]codeEntry {
	return map[commandCode]codeEntry{
		{tpm2.TPMCCLoad, 0x09f}: {kind: fail.WrongTPM, means: "the object was not made under this parent key", hint: adviseOtherTPM},
		{tpm2.TPMCCImport, 0x09f}: {kind: fail.WrongTPM, means: "the object was not wrapped for this parent key",
			hint: "wrap it for the public key of this TPM"},
		{tpm2.TPMCCActivateCredential, 0x09f}: {kind: fail.WrongTPM,
			means: "the credential was made for another endorsement key or another attestation key", hint: "ask for a new challenge"},
		{tpm2.TPMCCActivateCredential, 0x084}: {kind: fail.WrongTPM,
			means: "the credential's secret cannot be decrypted with this endorsement key", hint: "ask for a new challenge"},
		{tpm2.TPMCCUnseal, 0x09d}: {kind: fail.PolicyMismatch,
			means: "the PCRs, or what else the secret was sealed to, are not as they were", hint: "vtpmctl sealed why FILE names what differs"},
		{tpm2.TPMCCCreatePrimary, 0x0a2}: {kind: fail.AuthRefused, means: "the hierarchy of the key has a password, and none was given",
			hint: "vtpmctl info tells which hierarchies have one"},
		{tpm2.TPMCCReadPublic, 0x08b}:   {kind: fail.Failed, means: "there is no key at this handle", hint: "vtpmctl info lists the handles in use"},
		{tpm2.TPMCCNVReadPublic, 0x08b}: {kind: fail.Failed, means: "there is no NV index at this handle", hint: "vtpmctl info lists the indices"},
		{tpm2.TPMCCNVRead, 0x08b}:       {kind: fail.Failed, means: "there is no NV index at this handle", hint: "vtpmctl info lists the indices"},
		{tpm2.TPMCCNVWrite, 0x08b}:      {kind: fail.Failed, means: "there is no NV index at this handle", hint: "vtpmctl info lists the indices"},
		{tpm2.TPMCCClear, 0x120}: {kind: fail.Unsupported, means: "clearing is switched off (TPM2_ClearControl)",
			hint: "clear the TPM from the firmware's setup"},
		{tpm2.TPMCCPCRExtend, 0x907}: {kind: fail.Unsupported, means: "this PCR cannot be extended from the operating system",
			hint: "vtpmctl help pcrs says which PCRs can"},
		{tpm2.TPMCCPCRReset, 0x907}: {kind: fail.Unsupported, means: "this PCR cannot be reset from the operating system",
			hint: "PCRs 16 and 23 can; the others start anew when the machine does"},
		{tpm2.TPMCCDictionaryAttackLockReset, 0x921}: {kind: fail.Lockout, means: "the lockout password itself is locked after a wrong try",
			hint: "vtpmctl lockout show tells how long; a restart starts the time anew"},
		{tpm2.TPMCCCreate, 0x095}: {kind: fail.Unsupported, means: "the secret, or another part of the object, is longer than this TPM takes",
			hint: "a TPM seals 128 bytes at most"},
	}
})

// tssCodes are the codes of tpm2-tss' own layers (TSS 2.0 overview, section 3.3): the low 16 bits.
var tssCodes = sync.OnceValue(func() map[uint32]codeEntry {
	return map[uint32]codeEntry{
		1: {"GENERAL_FAILURE", fail.Failed, "something failed that has no code of its own", ""},
		2: {"NOT_IMPLEMENTED", fail.Unsupported, "the library does not implement this", ""},
		3: {"BAD_CONTEXT", fail.Failed, "the library was given a context that is not one", ""},
		4: {"ABI_MISMATCH", fail.Failed, "program and library were built for different versions", "update both from the same distribution"},
		5: {"BAD_REFERENCE", fail.Failed, "the library was given a null pointer", ""},
		6: {"INSUFFICIENT_BUFFER", fail.Failed, "a buffer of the caller is too small", ""},
		7: {"BAD_SEQUENCE", fail.Failed, "the library's functions were called in the wrong order", ""},
		8: {"NO_CONNECTION", fail.NoTPM, "the TPM, its daemon or its emulator cannot be reached", "check TPM2TOOLS_TCTI, and that the emulator runs"},
		9: {"TRY_AGAIN", fail.Temporary, "the answer has not come yet", adviseAgain},
		10: {"IO_ERROR", fail.NoTPM, "the TPM's device or socket could not be opened, read or written",
			"check that /dev/tpmrm0 exists and that this user may open it (group tss)"},
		11: {"BAD_VALUE", fail.Usage, "a parameter has a value the library does not take", ""},
		12: {"NOT_PERMITTED", fail.Permission, "the operation is not permitted", ""},
		13: {"INVALID_SESSIONS", fail.Failed, "sessions are missing, or were sent where none belong", ""},
		14: {"NO_DECRYPT_PARAM", fail.Failed, "this command has no parameter that can be encrypted on its way in", ""},
		15: {"NO_ENCRYPT_PARAM", fail.Failed, "this command has no parameter that can be encrypted on its way out", ""},
		16: {"BAD_SIZE", fail.Usage, "a parameter has the wrong size", ""},
		17: {"MALFORMED_RESPONSE", fail.Failed, "the TPM's answer does not decode", ""},
		18: {"INSUFFICIENT_CONTEXT", fail.Failed, "the library's context is too small", ""},
		19: {"INSUFFICIENT_RESPONSE", fail.Failed, "the TPM's answer is too short", ""},
		20: {"INCOMPATIBLE_TCTI", fail.Failed, "the TCTI module has another version than the library", ""},
		21: {"NOT_SUPPORTED", fail.Unsupported, "the operation is not supported", ""},
		22: {"BAD_TCTI_STRUCTURE", fail.Failed, "the TCTI module is damaged or none", ""},
		23: {"MEMORY", fail.Failed, "the program is out of memory", ""},
		24: {"BAD_TR", fail.Failed, "the library does not know this object", ""},
		25: {"MULTIPLE_DECRYPT_SESSIONS", fail.Failed, "two sessions would encrypt the command", ""},
		26: {"MULTIPLE_ENCRYPT_SESSIONS", fail.Failed, "two sessions would encrypt the answer", ""},
		27: {"RSP_AUTH_FAILED", fail.AuthRefused, "the TPM's answer is not authentic",
			"the auth value is wrong, or somebody alters what crosses the bus"},
		28: {"NO_CONFIG", fail.MissingInput, "the library has no configuration file", ""},
		29: {"BAD_PATH", fail.Usage, "the path is not one of the key store's", ""},
		30: {"NOT_DELETABLE", fail.Failed, "the object cannot be deleted", ""},
		31: {"PATH_ALREADY_EXISTS", fail.OutputExists, "the key store has this path already", ""},
		32: {"KEY_NOT_FOUND", fail.MissingInput, "the key is not in the key store", ""},
		33: {"SIGNATURE_VERIFICATION_FAILED", fail.AnswerNo, "the signature is not valid", ""},
		34: {"HASH_MISMATCH", fail.AnswerNo, "the digests differ", ""},
		35: {"KEY_NOT_DUPLICABLE", fail.Unsupported, "the key may not leave its TPM", ""},
		36: {"PATH_NOT_FOUND", fail.MissingInput, "the path is not in the key store", ""},
		37: {"NO_CERT", fail.MissingInput, "there is no certificate", ""},
		38: {"NO_PCR", fail.Unsupported, "there is no such PCR", ""},
		39: {"PCR_NOT_RESETTABLE", fail.Unsupported, "the PCR cannot be reset", ""},
		40: {"BAD_TEMPLATE", fail.BadInput, "the template is not valid", ""},
		41: {"AUTHORIZATION_FAILED", fail.AuthRefused, "the auth value is wrong", adviseLockout},
		42: {"AUTHORIZATION_UNKNOWN", fail.AuthRefused, "no auth value is known for the object", ""},
		43: {"NV_NOT_READABLE", fail.Failed, "the NV index cannot be read", ""},
		44: {"NV_TOO_SMALL", fail.Usage, "the NV index is too small", ""},
		45: {"NV_NOT_WRITEABLE", fail.Failed, "the NV index cannot be written", ""},
		46: {"POLICY_UNKNOWN", fail.MissingInput, "the policy is not known", ""},
		47: {"NV_WRONG_TYPE", fail.Usage, "the NV index is of another type", ""},
		48: {"NAME_ALREADY_EXISTS", fail.OutputExists, "the name is in use", ""},
		49: {"NO_TPM", fail.NoTPM, "there is no TPM", ""},
		50: {"BAD_KEY", fail.BadInput, "the key is not valid", ""},
		51: {"NO_HANDLE", fail.TPMFull, "there is no free handle", ""},
		52: {"NOT_PROVISIONED", fail.Failed, "the key store has not been set up", "tss2_provision sets it up"},
		53: {"ALREADY_PROVISIONED", fail.OutputExists, "the key store has been set up already", ""},
		54: {"CALLBACK_NULL", fail.Failed, "a callback is missing", ""},
	}
})

// Advice for Windows.
const (
	adviseElevate = "run it from an elevated prompt (Run as administrator); some commands are never let through"
	adviseService = "start the service: sc start tbs"
)

// tbsCodes are those of Windows' TPM Base Services (winerror.h). TPM 2.0 response codes below 0x80280000 + 0x1000 are
// Windows' copies of the TPM's own and are decoded as such. The first is Windows' own word for a user without the rights.
var tbsCodes = sync.OnceValue(func() map[uint32]codeEntry {
	return map[uint32]codeEntry{
		0x80070005: {"E_ACCESSDENIED", fail.Permission, "Windows does not let this user open the TPM", "run it from an elevated prompt (Run as administrator)"},
		0x80280400: {"TPM_E_COMMAND_BLOCKED", fail.TPMBlocked, "Windows does not let this command through to the TPM", adviseElevate},
		0x80280401: {"TPM_E_INVALID_HANDLE", fail.Failed, "the handle is not one that TBS knows", ""},
		0x80280402: {"TPM_E_DUPLICATE_VHANDLE", fail.Failed, "the TPM returned a handle that TBS has in use", ""},
		0x80280403: {"TPM_E_EMBEDDED_COMMAND_BLOCKED", fail.TPMBlocked, "Windows does not let the command inside through", adviseElevate},
		0x80280404: {"TPM_E_EMBEDDED_COMMAND_UNSUPPORTED", fail.Unsupported, "the command inside is not supported", ""},
		0x80280800: {"TPM_E_RETRY", fail.Temporary, "the TPM is busy", adviseAgain},
		0x80280801: {"TPM_E_NEEDS_SELFTEST", fail.Temporary, "the TPM has to test itself first", adviseAgain},
		0x80280802: {"TPM_E_DOING_SELFTEST", fail.Temporary, "the TPM is testing itself", adviseAgain},
		0x80280803: {"TPM_E_DEFEND_LOCK_RUNNING", fail.Lockout, "the TPM defends itself against wrong auth values and takes none for a while", adviseLockout},
		0x80284001: {"TBS_E_INTERNAL_ERROR", fail.Failed, "TBS failed inside", "restart the machine; the event log of TPM-WMI says more"},
		0x80284002: {"TBS_E_BAD_PARAMETER", fail.Failed, "TBS was given a bad parameter", adviseBug},
		0x80284003: {"TBS_E_INVALID_OUTPUT_POINTER", fail.Failed, "TBS was given a bad output pointer", adviseBug},
		0x80284004: {"TBS_E_INVALID_CONTEXT", fail.Failed, "the TBS context is not valid", adviseBug},
		0x80284005: {"TBS_E_INSUFFICIENT_BUFFER", fail.Failed, "the answer does not fit into the buffer", adviseBug},
		0x80284006: {"TBS_E_IOERROR", fail.Failed, "TBS could not talk to the TPM", "restart the machine; the event log of TPM-WMI says more"},
		0x80284007: {"TBS_E_INVALID_CONTEXT_PARAM", fail.Failed, "the parameters of the TBS context are not valid", adviseBug},
		0x80284008: {"TBS_E_SERVICE_NOT_RUNNING", fail.NoTPM, "the TBS service does not run and could not be started", adviseService},
		0x80284009: {"TBS_E_TOO_MANY_TBS_CONTEXTS", fail.TPMFull, "too many programs have the TPM open", "end some of them"},
		0x8028400a: {"TBS_E_TOO_MANY_RESOURCES", fail.TPMFull, "too many TPM objects are open", "end the programs that hold them"},
		0x8028400b: {"TBS_E_SERVICE_START_PENDING", fail.Temporary, "the TBS service is starting", adviseAgain},
		0x8028400c: {"TBS_E_PPI_NOT_SUPPORTED", fail.Unsupported, "the firmware has no physical presence interface", ""},
		0x8028400d: {"TBS_E_COMMAND_CANCELED", fail.Temporary, "the command was cancelled", adviseAgain},
		0x8028400e: {"TBS_E_BUFFER_TOO_LARGE", fail.Failed, "the command or the buffer is too large", adviseBug},
		0x8028400f: {"TBS_E_TPM_NOT_FOUND", fail.NoTPM, "this machine has no TPM that Windows can use",
			"switch on the vTPM in the instance's settings; tpm.msc shows what Windows sees"},
		0x80284010: {"TBS_E_SERVICE_DISABLED", fail.NoTPM, "the TBS service is switched off", "sc config tbs start= demand, then " + adviseService},
		0x80284011: {"TBS_E_NO_EVENT_LOG", fail.MissingInput, "Windows has no event log of this boot", "a legacy (BIOS) boot leaves none; C:\\Windows\\Logs\\MeasuredBoot holds those of earlier boots"},
		0x80284012: {"TBS_E_ACCESS_DENIED", fail.Permission, "Windows does not let this user do that with the TPM", "run it from an elevated prompt (Run as administrator)"},
		0x80284013: {"TBS_E_PROVISIONING_NOT_ALLOWED", fail.Unsupported, "provisioning is not allowed", ""},
		0x80284014: {"TBS_E_PPI_FUNCTION_UNSUPPORTED", fail.Unsupported, "the firmware does not support this request", ""},
		0x80284015: {"TBS_E_OWNERAUTH_NOT_FOUND", fail.MissingInput, "Windows has not kept the owner password", ""},
		0x80284016: {"TBS_E_PROVISIONING_INCOMPLETE", fail.Failed, "Windows has not finished setting up the TPM", "Initialize-Tpm in PowerShell finishes it"},
	}
})

// linuxErrors are the errnos that opening and using a TPM device brings up.
var linuxErrors = map[string]codeEntry{
	"EPERM":        {"EPERM", fail.Permission, "the operation is not permitted", "run it as root, or outside of the sandbox"},
	"ENOENT":       {"ENOENT", fail.NoTPM, "there is no such device file", "no TPM driver is bound; `dmesg | grep -i tpm` says whether the kernel found one"},
	"EIO":          {"EIO", fail.Failed, "the driver could not talk to the TPM", "`dmesg | grep -i tpm` has its words"},
	"ENXIO":        {"ENXIO", fail.NoTPM, "no driver serves this device file", "load the module: tpm_crb or tpm_tis"},
	"EAGAIN":       {"EAGAIN", fail.Temporary, "the answer has not come yet", adviseAgain},
	"EACCES":       {"EACCES", fail.Permission, "this user may not open the device", "join the group that owns /dev/tpmrm0, most often tss"},
	"EBUSY":        {"EBUSY", fail.TPMBusy, "another program holds the device", "use the kernel's resource manager, --tpm dev:/dev/tpmrm0"},
	"ENODEV":       {"ENODEV", fail.NoTPM, "the device has gone away", "restart the machine, or attach the vTPM again"},
	"EINVAL":       {"EINVAL", fail.Failed, "the driver does not take the command as it is", adviseBug},
	"EPIPE":        {"EPIPE", fail.NoTPM, "the device or the emulator has gone away", "restart the emulator"},
	"ETIME":        {"ETIME", fail.Temporary, "the TPM did not answer in the driver's time", adviseAgain},
	"ETIMEDOUT":    {"ETIMEDOUT", fail.NoTPM, "the emulator does not answer", "check the address"},
	"ECONNREFUSED": {"ECONNREFUSED", fail.NoTPM, "nothing listens at this address", "start the emulator"},
	"ECANCELED":    {"ECANCELED", fail.Temporary, "the command was cancelled", adviseAgain},
}
