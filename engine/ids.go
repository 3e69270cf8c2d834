package engine

// handle is a TPM_HANDLE (part 2, 7): the top byte is its type.
type handle uint32

// Handle types (TPM_HT).
const (
	htPCR           = 0x00
	htNV            = 0x01
	htHMACSession   = 0x02 // TPM_HT_LOADED_SESSION in GetCapability
	htPolicySession = 0x03 // TPM_HT_SAVED_SESSION in GetCapability
	htPermanent     = 0x40
	htTransient     = 0x80
	htPersistent    = 0x81
)

// Permanent handles (TPM_RH).
const (
	rhOwner       handle = 0x40000001
	rhNull        handle = 0x40000007
	rhUnassigned  handle = 0x40000008
	rsPW          handle = 0x40000009
	rhLockout     handle = 0x4000000a
	rhEndorsement handle = 0x4000000b
	rhPlatform    handle = 0x4000000c
	rhPlatformNV  handle = 0x4000000d
	rhACT0        handle = 0x40000110
)

// The platform's half of the persistent handles starts here (part 2, 7.5).
const platformPersistent handle = 0x81800000

func (h handle) kind() byte { return byte(h >> 24) }

func (h handle) isSession() bool { return h.kind() == htHMACSession || h.kind() == htPolicySession }

func (h handle) isObject() bool { return h.kind() == htTransient || h.kind() == htPersistent }

// Structure tags (TPM_ST).
const (
	stNoSessions     uint16 = 0x8001
	stSessions       uint16 = 0x8002
	stAttestNV       uint16 = 0x8014
	stAttestCommand  uint16 = 0x8015
	stAttestSession  uint16 = 0x8016
	stAttestCertify  uint16 = 0x8017
	stAttestQuote    uint16 = 0x8018
	stAttestTime     uint16 = 0x8019
	stAttestCreation uint16 = 0x801a
	stAttestNVDigest uint16 = 0x801c
	stCreation       uint16 = 0x8021
	stVerified       uint16 = 0x8022
	stAuthSecret     uint16 = 0x8023
	stHashCheck      uint16 = 0x8024
	stAuthSigned     uint16 = 0x8025
	generatedValue   uint32 = 0xff544347 // TPM_GENERATED_VALUE: marks structures made inside a TPM
)

// Startup and session types (TPM_SU, TPM_SE).
const (
	suClear uint16 = 0
	suState uint16 = 1

	seHMAC   uint8 = 0
	sePolicy uint8 = 1
	seTrial  uint8 = 3
)

// Command codes (TPM_CC).
const (
	ccNVUndefineSpaceSpecial     uint32 = 0x11f
	ccEvictControl               uint32 = 0x120
	ccHierarchyControl           uint32 = 0x121
	ccNVUndefineSpace            uint32 = 0x122
	ccChangeEPS                  uint32 = 0x124
	ccChangePPS                  uint32 = 0x125
	ccClear                      uint32 = 0x126
	ccClearControl               uint32 = 0x127
	ccClockSet                   uint32 = 0x128
	ccHierarchyChangeAuth        uint32 = 0x129
	ccNVDefineSpace              uint32 = 0x12a
	ccPCRAllocate                uint32 = 0x12b
	ccPCRSetAuthPolicy           uint32 = 0x12c
	ccPPCommands                 uint32 = 0x12d
	ccSetPrimaryPolicy           uint32 = 0x12e
	ccClockRateAdjust            uint32 = 0x130
	ccCreatePrimary              uint32 = 0x131
	ccNVGlobalWriteLock          uint32 = 0x132
	ccGetCommandAuditDigest      uint32 = 0x133
	ccNVIncrement                uint32 = 0x134
	ccNVSetBits                  uint32 = 0x135
	ccNVExtend                   uint32 = 0x136
	ccNVWrite                    uint32 = 0x137
	ccNVWriteLock                uint32 = 0x138
	ccDictionaryAttackLockReset  uint32 = 0x139
	ccDictionaryAttackParameters uint32 = 0x13a
	ccNVChangeAuth               uint32 = 0x13b
	ccPCREvent                   uint32 = 0x13c
	ccPCRReset                   uint32 = 0x13d
	ccSequenceComplete           uint32 = 0x13e
	ccSetAlgorithmSet            uint32 = 0x13f
	ccSetCommandCodeAuditStatus  uint32 = 0x140
	ccIncrementalSelfTest        uint32 = 0x142
	ccSelfTest                   uint32 = 0x143
	ccStartup                    uint32 = 0x144
	ccShutdown                   uint32 = 0x145
	ccStirRandom                 uint32 = 0x146
	ccActivateCredential         uint32 = 0x147
	ccCertify                    uint32 = 0x148
	ccPolicyNV                   uint32 = 0x149
	ccCertifyCreation            uint32 = 0x14a
	ccDuplicate                  uint32 = 0x14b
	ccGetTime                    uint32 = 0x14c
	ccGetSessionAuditDigest      uint32 = 0x14d
	ccNVRead                     uint32 = 0x14e
	ccNVReadLock                 uint32 = 0x14f
	ccObjectChangeAuth           uint32 = 0x150
	ccPolicySecret               uint32 = 0x151
	ccRewrap                     uint32 = 0x152
	ccCreate                     uint32 = 0x153
	ccECDHZGen                   uint32 = 0x154
	ccHMAC                       uint32 = 0x155
	ccImport                     uint32 = 0x156
	ccLoad                       uint32 = 0x157
	ccQuote                      uint32 = 0x158
	ccRSADecrypt                 uint32 = 0x159
	ccHMACStart                  uint32 = 0x15b
	ccSequenceUpdate             uint32 = 0x15c
	ccSign                       uint32 = 0x15d
	ccUnseal                     uint32 = 0x15e
	ccPolicySigned               uint32 = 0x160
	ccContextLoad                uint32 = 0x161
	ccContextSave                uint32 = 0x162
	ccECDHKeyGen                 uint32 = 0x163
	ccEncryptDecrypt             uint32 = 0x164
	ccFlushContext               uint32 = 0x165
	ccLoadExternal               uint32 = 0x167
	ccMakeCredential             uint32 = 0x168
	ccNVReadPublic               uint32 = 0x169
	ccPolicyAuthorize            uint32 = 0x16a
	ccPolicyAuthValue            uint32 = 0x16b
	ccPolicyCommandCode          uint32 = 0x16c
	ccPolicyCounterTimer         uint32 = 0x16d
	ccPolicyCpHash               uint32 = 0x16e
	ccPolicyLocality             uint32 = 0x16f
	ccPolicyNameHash             uint32 = 0x170
	ccPolicyOR                   uint32 = 0x171
	ccPolicyTicket               uint32 = 0x172
	ccReadPublic                 uint32 = 0x173
	ccRSAEncrypt                 uint32 = 0x174
	ccStartAuthSession           uint32 = 0x176
	ccVerifySignature            uint32 = 0x177
	ccECCParameters              uint32 = 0x178
	ccGetCapability              uint32 = 0x17a
	ccGetRandom                  uint32 = 0x17b
	ccGetTestResult              uint32 = 0x17c
	ccHash                       uint32 = 0x17d
	ccPCRRead                    uint32 = 0x17e
	ccPolicyPCR                  uint32 = 0x17f
	ccPolicyRestart              uint32 = 0x180
	ccReadClock                  uint32 = 0x181
	ccPCRExtend                  uint32 = 0x182
	ccPCRSetAuthValue            uint32 = 0x183
	ccNVCertify                  uint32 = 0x184
	ccEventSequenceComplete      uint32 = 0x185
	ccHashSequenceStart          uint32 = 0x186
	ccPolicyPhysicalPresence     uint32 = 0x187
	ccPolicyDuplicationSelect    uint32 = 0x188
	ccPolicyGetDigest            uint32 = 0x189
	ccTestParms                  uint32 = 0x18a
	ccCommit                     uint32 = 0x18b
	ccPolicyPassword             uint32 = 0x18c
	ccZGen2Phase                 uint32 = 0x18d
	ccECEphemeral                uint32 = 0x18e
	ccPolicyNvWritten            uint32 = 0x18f
	ccPolicyTemplate             uint32 = 0x190
	ccCreateLoaded               uint32 = 0x191
	ccPolicyAuthorizeNV          uint32 = 0x192
	ccEncryptDecrypt2            uint32 = 0x193
	ccCertifyX509                uint32 = 0x197
	ccACTSetTimeout              uint32 = 0x198
	ccECCEncrypt                 uint32 = 0x199
	ccECCDecrypt                 uint32 = 0x19a
)
