package engine

import "fmt"

// rc is a TPM_RC (part 2, 6.6). It is the error every command handler returns for what the caller did wrong; any other
// error means that the engine or its host is broken.
type rc uint32

// Format-zero codes (TPM_RC_VER1).
const (
	rcSuccess         rc = 0
	rcBadTag          rc = 0x01e
	rcInitialize      rc = 0x100
	rcFailure         rc = 0x101
	rcSequence        rc = 0x103
	rcDisabled        rc = 0x120
	rcExclusive       rc = 0x121
	rcAuthType        rc = 0x124
	rcAuthMissing     rc = 0x125
	rcPolicy          rc = 0x126
	rcPCR             rc = 0x127
	rcPCRChanged      rc = 0x128
	rcTooManyContexts rc = 0x12e
	rcAuthUnavailable rc = 0x12f
	rcCommandSize     rc = 0x142
	rcCommandCode     rc = 0x143
	rcAuthContext     rc = 0x145
	rcNVRange         rc = 0x146
	rcNVLocked        rc = 0x148
	rcNVAuthorization rc = 0x149
	rcNVUninitialized rc = 0x14a
	rcNVSpace         rc = 0x14b
	rcNVDefined       rc = 0x14c
	rcCpHash          rc = 0x151
	rcNoResult        rc = 0x154
)

// Format-one codes (TPM_RC_FMT1): param, handle and session add which one is meant.
const (
	rcAsymmetric   rc = 0x081
	rcAttributes   rc = 0x082
	rcHash         rc = 0x083
	rcValue        rc = 0x084
	rcHierarchy    rc = 0x085
	rcKeySize      rc = 0x087
	rcMode         rc = 0x089
	rcType         rc = 0x08a
	rcHandle       rc = 0x08b
	rcKDF          rc = 0x08c
	rcRange        rc = 0x08d
	rcAuthFail     rc = 0x08e
	rcNonce        rc = 0x08f
	rcPP           rc = 0x090
	rcScheme       rc = 0x092
	rcSize         rc = 0x095
	rcSymmetric    rc = 0x096
	rcTag          rc = 0x097
	rcInsufficient rc = 0x09a
	rcSignature    rc = 0x09b
	rcKey          rc = 0x09c
	rcPolicyFail   rc = 0x09d
	rcIntegrity    rc = 0x09f
	rcTicket       rc = 0x0a0
	rcReservedBits rc = 0x0a1
	rcBadAuth      rc = 0x0a2
	rcExpired      rc = 0x0a3
	rcPolicyCC     rc = 0x0a4
	rcBinding      rc = 0x0a5
	rcCurve        rc = 0x0a6
	rcECCPoint     rc = 0x0a7
)

// Warnings (TPM_RC_WARN).
const (
	rcContextGap     rc = 0x901
	rcObjectMemory   rc = 0x902
	rcSessionMemory  rc = 0x903
	rcSessionHandles rc = 0x905
	rcLocality       rc = 0x907
	rcCanceled       rc = 0x909
	rcReferenceH0    rc = 0x910
	rcReferenceS0    rc = 0x918
	rcLockout        rc = 0x921
)

func (e rc) Error() string { return fmt.Sprintf("TPM_RC 0x%03x", uint32(e)) }

// formatOne tells whether e has room for a parameter, handle or session number.
func (e rc) formatOne() bool { return e&0x80 != 0 }

// param says that e is about the n-th parameter, counted from 1. A code that has a number keeps it.
func (e rc) param(n int) rc { return e.at(0x040, n) }

// handle says that e is about the n-th handle, counted from 1.
func (e rc) handle(n int) rc { return e.at(0, n) }

// session says that e is about the n-th session, counted from 1.
func (e rc) session(n int) rc { return e.at(0x800, n) }

func (e rc) at(kind rc, n int) rc {
	if !e.formatOne() || e&0xf40 != 0 || n == 0 {
		return e
	}
	return e | kind | rc(n)<<8
}
