// Package crypt is the arithmetic under the TPM engine: digests, key derivation, symmetric modes, RSA and elliptic
// curves in the exact forms TPM 2.0 Library part 1 asks for, and the derivation of primary keys from a seed.
//
// It knows algorithm identifiers and byte strings, and nothing of TPM structures, sessions or state. It keeps no global
// state and draws no randomness of its own: whoever needs random bytes hands in an io.Reader, so that the same reader
// gives the same keys and signatures. Where the standard library has a constant-time implementation of what the TPM
// needs, that one does the work; math/big serves only what it cannot do.
package crypt

// Algorithm identifiers (TCG Algorithm Registry, TPM_ALG_ID).
const (
	AlgRSA          uint16 = 0x0001
	AlgSHA1         uint16 = 0x0004
	AlgHMAC         uint16 = 0x0005
	AlgAES          uint16 = 0x0006
	AlgMGF1         uint16 = 0x0007
	AlgKeyedHash    uint16 = 0x0008
	AlgXOR          uint16 = 0x000a
	AlgSHA256       uint16 = 0x000b
	AlgSHA384       uint16 = 0x000c
	AlgSHA512       uint16 = 0x000d
	AlgNull         uint16 = 0x0010
	AlgSM3          uint16 = 0x0012
	AlgSM4          uint16 = 0x0013
	AlgRSASSA       uint16 = 0x0014
	AlgRSAES        uint16 = 0x0015
	AlgRSAPSS       uint16 = 0x0016
	AlgOAEP         uint16 = 0x0017
	AlgECDSA        uint16 = 0x0018
	AlgECDH         uint16 = 0x0019
	AlgECDAA        uint16 = 0x001a
	AlgSM2          uint16 = 0x001b
	AlgECSchnorr    uint16 = 0x001c
	AlgECMQV        uint16 = 0x001d
	AlgKDF1SP80056A uint16 = 0x0020
	AlgKDF2         uint16 = 0x0021
	AlgKDF1SP800108 uint16 = 0x0022
	AlgECC          uint16 = 0x0023
	AlgSymCipher    uint16 = 0x0025
	AlgCTR          uint16 = 0x0040
	AlgOFB          uint16 = 0x0041
	AlgCBC          uint16 = 0x0042
	AlgCFB          uint16 = 0x0043
	AlgECB          uint16 = 0x0044
)

// Curve identifiers (TPM_ECC_CURVE).
const (
	CurveP224   uint16 = 0x0002
	CurveP256   uint16 = 0x0003
	CurveP384   uint16 = 0x0004
	CurveP521   uint16 = 0x0005
	CurveBNP256 uint16 = 0x0010
	CurveSM2    uint16 = 0x0020
)
