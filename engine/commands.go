package engine

import (
	"cmp"
	"slices"
	"sync"
)

// Every command code lies between these two, both included.
const (
	ccFirst = ccNVUndefineSpaceSpecial
	ccLast  = ccECCDecrypt
)

var table struct {
	once     sync.Once
	commands []*command // in order of the codes
	byCode   [ccLast - ccFirst + 1]*command
}

// commands is the command table. It is made when the first TPM asks for it: most processes that link the engine run none, and
// making it takes reflection.
func commands() []*command {
	table.once.Do(func() {
		table.commands = everyCommand()
		for _, c := range table.commands {
			table.byCode[c.cc-ccFirst] = c
		}
	})
	return table.commands
}

func everyCommand() []*command {
	all := []*command{
		on(ccStartup, (*TPM).startup, flagNV, flagNoSession),
		on(ccShutdown, (*TPM).shutdown, flagNV),
		on(ccSelfTest, (*TPM).selfTest, flagNV, flagPure),
		on(ccIncrementalSelfTest, (*TPM).incrementalSelfTest, flagNV, flagPure),
		on(ccGetTestResult, (*TPM).getTestResult, flagPure),
		on(ccGetCapability, (*TPM).getCapability, flagPure),
		on(ccTestParms, (*TPM).testParms, flagPure),
		on(ccGetRandom, (*TPM).getRandom, flagPure),
		on(ccStirRandom, (*TPM).stirRandom, flagNV, flagPure),

		on(ccStartAuthSession, (*TPM).startAuthSession, flagFleeting),
		on(ccPolicyRestart, (*TPM).policyRestart, flagFleeting),
		on(ccFlushContext, (*TPM).flushContext, flagNoSession, flagFleeting),

		on(ccPCRRead, (*TPM).pcrRead, flagPure),
		on(ccPCRExtend, (*TPM).pcrExtend, flagNV, flagPowered),
		on(ccPCREvent, (*TPM).pcrEvent, flagNV, flagPowered),
		on(ccPCRReset, (*TPM).pcrReset, flagNV, flagPowered),
		on(ccPCRAllocate, (*TPM).pcrAllocate, flagNV, flagPP),
		on(ccPCRSetAuthPolicy, (*TPM).pcrSetAuthPolicy, flagNV, flagPP),
		on(ccPCRSetAuthValue, (*TPM).pcrSetAuthValue),

		on(ccDictionaryAttackLockReset, (*TPM).daLockReset, flagNV),
		on(ccDictionaryAttackParameters, (*TPM).daParameters, flagNV),

		on(ccContextSave, (*TPM).contextSave, flagNoSession),
		on(ccContextLoad, (*TPM).contextLoad, flagNoSession),
		on(ccEvictControl, (*TPM).evictControl, flagNV, flagPP),

		on(ccCreatePrimary, (*TPM).createPrimary, flagFleeting, flagPP),
		on(ccCreate, (*TPM).create, flagFleeting),
		on(ccCreateLoaded, (*TPM).createLoaded, flagFleeting),
		on(ccLoad, (*TPM).loadChild, flagFleeting),
		on(ccLoadExternal, (*TPM).loadExternal, flagFleeting),
		on(ccReadPublic, (*TPM).readPublic, flagPure),
		on(ccUnseal, (*TPM).unseal, flagFleeting),
		on(ccObjectChangeAuth, (*TPM).objectChangeAuth),
		on(ccMakeCredential, (*TPM).makeCredential, flagPure),
		on(ccActivateCredential, (*TPM).activateCredential),
		on(ccDuplicate, (*TPM).duplicate),
		on(ccImport, (*TPM).importObject),
		on(ccRewrap, (*TPM).rewrap),

		on(ccRSAEncrypt, (*TPM).rsaEncrypt, flagPure),
		on(ccRSADecrypt, (*TPM).rsaDecrypt),
		on(ccECDHKeyGen, (*TPM).ecdhKeyGen, flagPure),
		on(ccECDHZGen, (*TPM).ecdhZGen),
		on(ccECCParameters, (*TPM).eccParameters, flagPure),
		on(ccCommit, (*TPM).commitPoints),
		on(ccECEphemeral, (*TPM).ecEphemeral),
		on(ccZGen2Phase, (*TPM).zgen2Phase),
		on(ccECCEncrypt, (*TPM).eccEncrypt, flagPure),
		on(ccECCDecrypt, (*TPM).eccDecrypt),
		on(ccEncryptDecrypt, (*TPM).encryptDecrypt),
		on(ccEncryptDecrypt2, (*TPM).encryptDecrypt2),

		on(ccSign, (*TPM).signDigest),
		on(ccVerifySignature, (*TPM).verifySignature, flagPure),
		on(ccHash, (*TPM).hash, flagPure),
		on(ccHMAC, (*TPM).hmac, flagFleeting),
		on(ccHMACStart, (*TPM).hmacStart, flagFleeting),
		on(ccHashSequenceStart, (*TPM).hashSequenceStart, flagFleeting),
		on(ccSequenceUpdate, (*TPM).sequenceUpdate, flagFleeting),
		on(ccSequenceComplete, (*TPM).sequenceComplete, flagFlushed),
		on(ccEventSequenceComplete, (*TPM).eventSequenceComplete, flagNV, flagFlushed),

		on(ccQuote, (*TPM).quote),
		on(ccCertify, (*TPM).certify),
		on(ccCertifyCreation, (*TPM).certifyCreation),
		on(ccCertifyX509, (*TPM).certifyX509),
		on(ccGetTime, (*TPM).getTime),
		on(ccGetSessionAuditDigest, (*TPM).getSessionAuditDigest),
		on(ccGetCommandAuditDigest, (*TPM).getCommandAuditDigest, flagNV),
		on(ccSetCommandCodeAuditStatus, (*TPM).setCommandCodeAuditStatus, flagNV),

		on(ccPolicyPCR, (*TPM).policyPCR, flagFleeting),
		on(ccPolicyAuthValue, (*TPM).policyAuthValue, flagFleeting),
		on(ccPolicyPassword, (*TPM).policyPassword, flagFleeting),
		on(ccPolicyPhysicalPresence, (*TPM).policyPhysicalPresence, flagFleeting),
		on(ccPolicyGetDigest, (*TPM).policyGetDigest, flagFleeting),
		on(ccPolicyOR, (*TPM).policyOR, flagFleeting),
		on(ccPolicyCommandCode, (*TPM).policyCommandCode, flagFleeting),
		on(ccPolicyLocality, (*TPM).policyLocality, flagFleeting),
		on(ccPolicyCpHash, (*TPM).policyCpHash, flagFleeting),
		on(ccPolicyNameHash, (*TPM).policyNameHash, flagFleeting),
		on(ccPolicyTemplate, (*TPM).policyTemplate, flagFleeting),
		on(ccPolicyDuplicationSelect, (*TPM).policyDuplicationSelect, flagFleeting),
		on(ccPolicyNvWritten, (*TPM).policyNvWritten, flagFleeting),
		on(ccPolicyAuthorize, (*TPM).policyAuthorize, flagFleeting),
		on(ccPolicySecret, (*TPM).policySecret),
		on(ccPolicySigned, (*TPM).policySigned, flagFleeting),
		on(ccPolicyTicket, (*TPM).policyTicket, flagFleeting),
		on(ccPolicyCounterTimer, (*TPM).policyCounterTimer, flagFleeting),
		on(ccPolicyNV, (*TPM).policyNV),
		on(ccPolicyAuthorizeNV, (*TPM).policyAuthorizeNV),

		on(ccNVDefineSpace, (*TPM).nvDefineSpace, flagNV, flagPP),
		on(ccNVUndefineSpace, (*TPM).nvUndefineSpace, flagNV, flagPP),
		on(ccNVUndefineSpaceSpecial, (*TPM).nvUndefineSpaceSpecial, flagNV, flagPP),
		on(ccNVReadPublic, (*TPM).nvReadPublic, flagPure),
		on(ccNVRead, (*TPM).nvRead),
		on(ccNVReadLock, (*TPM).nvReadLock, flagNV),
		on(ccNVWrite, (*TPM).nvWrite, flagNV, flagNVWrite),
		on(ccNVIncrement, (*TPM).nvIncrement, flagNV, flagNVWrite),
		on(ccNVExtend, (*TPM).nvExtend, flagNV, flagNVWrite),
		on(ccNVSetBits, (*TPM).nvSetBits, flagNV, flagNVWrite),
		on(ccNVWriteLock, (*TPM).nvWriteLock, flagNV, flagNVWrite),
		on(ccNVGlobalWriteLock, (*TPM).nvGlobalWriteLock, flagNV, flagPP),
		on(ccNVChangeAuth, (*TPM).nvChangeAuth, flagNV),
		on(ccNVCertify, (*TPM).nvCertify),

		on(ccHierarchyChangeAuth, (*TPM).hierarchyChangeAuth, flagNV, flagPP),
		on(ccHierarchyControl, (*TPM).hierarchyControl, flagNV, flagExtensive, flagPP),
		on(ccSetPrimaryPolicy, (*TPM).setPrimaryPolicy, flagNV, flagPP),
		on(ccChangeEPS, (*TPM).changeEPS, flagNV, flagExtensive, flagPP),
		on(ccChangePPS, (*TPM).changePPS, flagNV, flagExtensive, flagPP),
		on(ccClear, (*TPM).clear, flagNV, flagExtensive, flagPP),
		on(ccClearControl, (*TPM).clearControl, flagNV, flagPP),
		on(ccPPCommands, (*TPM).ppCommands, flagNV, flagAlwaysPP),
		on(ccSetAlgorithmSet, (*TPM).setAlgorithmSet, flagNV, flagPP),
		on(ccReadClock, (*TPM).readClock, flagPure),
		on(ccClockSet, (*TPM).clockSet, flagNV, flagPP),
		on(ccClockRateAdjust, (*TPM).clockRateAdjust, flagPP),
		on(ccACTSetTimeout, (*TPM).actSetTimeout),
	}
	slices.SortFunc(all, func(a, b *command) int { return cmp.Compare(a.cc, b.cc) })
	return all
}

// alwaysPPCommands are those that need physical presence until TPM2_PP_Commands says otherwise.
func alwaysPPCommands() []uint32 {
	var list []uint32
	for _, c := range commands() {
		if c.flags&flagAlwaysPP != 0 {
			list = append(list, c.cc)
		}
	}
	return list
}
