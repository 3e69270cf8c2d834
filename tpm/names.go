package tpm

import (
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// algorithmNames are the words of tpm2-tools for TPM_ALG_ID (TCG Algorithm Registry, table 3).
var algorithmNames = map[tpm2.TPMAlgID]string{
	tpm2.TPMAlgRSA: "rsa", tpm2.TPMAlgTDES: "tdes", tpm2.TPMAlgSHA1: "sha1", tpm2.TPMAlgHMAC: "hmac", tpm2.TPMAlgAES: "aes",
	tpm2.TPMAlgMGF1: "mgf1", tpm2.TPMAlgKeyedHash: "keyedhash", tpm2.TPMAlgXOR: "xor", tpm2.TPMAlgSHA256: "sha256",
	tpm2.TPMAlgSHA384: "sha384", tpm2.TPMAlgSHA512: "sha512", tpm2.TPMAlgSHA256192: "sha256_192", tpm2.TPMAlgNull: "null",
	tpm2.TPMAlgSM3256: "sm3_256", tpm2.TPMAlgSM4: "sm4", tpm2.TPMAlgRSASSA: "rsassa", tpm2.TPMAlgRSAES: "rsaes",
	tpm2.TPMAlgRSAPSS: "rsapss", tpm2.TPMAlgOAEP: "oaep", tpm2.TPMAlgECDSA: "ecdsa", tpm2.TPMAlgECDH: "ecdh",
	tpm2.TPMAlgECDAA: "ecdaa", tpm2.TPMAlgSM2: "sm2", tpm2.TPMAlgECSchnorr: "ecschnorr", tpm2.TPMAlgECMQV: "ecmqv",
	tpm2.TPMAlgKDF1SP80056A: "kdf1_sp800_56a", tpm2.TPMAlgKDF2: "kdf2", tpm2.TPMAlgKDF1SP800108: "kdf1_sp800_108",
	tpm2.TPMAlgECC: "ecc", tpm2.TPMAlgSymCipher: "symcipher", tpm2.TPMAlgCamellia: "camellia",
	tpm2.TPMAlgSHA3256: "sha3_256", tpm2.TPMAlgSHA3384: "sha3_384", tpm2.TPMAlgSHA3512: "sha3_512",
	tpm2.TPMAlgSHAKE128: "shake128", tpm2.TPMAlgSHAKE256: "shake256", tpm2.TPMAlgSHAKE256192: "shake256_192",
	tpm2.TPMAlgSHAKE256256: "shake256_256", tpm2.TPMAlgSHAKE256512: "shake256_512", tpm2.TPMAlgCMAC: "cmac",
	tpm2.TPMAlgCTR: "ctr", tpm2.TPMAlgOFB: "ofb", tpm2.TPMAlgCBC: "cbc", tpm2.TPMAlgCFB: "cfb", tpm2.TPMAlgECB: "ecb",
	tpm2.TPMAlgCCM: "ccm", tpm2.TPMAlgGCM: "gcm", tpm2.TPMAlgKW: "kw", tpm2.TPMAlgKWP: "kwp", tpm2.TPMAlgEAX: "eax",
	tpm2.TPMAlgEDDSA: "eddsa", tpm2.TPMAlgEDDSAPH: "eddsa_ph", tpm2.TPMAlgLMS: "lms", tpm2.TPMAlgXMSS: "xmss",
	tpm2.TPMAlgKEYEDXOF: "keyedxof", tpm2.TPMAlgKMACXOF128: "kmacxof128", tpm2.TPMAlgKMACXOF256: "kmacxof256",
	tpm2.TPMAlgKMAC128: "kmac128", tpm2.TPMAlgKMAC256: "kmac256",
}

// AlgorithmName is the word for an algorithm, or its number in hex.
func AlgorithmName(a tpm2.TPMAlgID) string { return nameOr(algorithmNames, a, "0x%04x") }

// curveNames are the words of tpm2-tools for TPM_ECC_CURVE (TCG Algorithm Registry, table 4), and more.
var curveNames = map[tpm2.TPMECCCurve]string{
	tpm2.TPMECCNistP192: "nist_p192", tpm2.TPMECCNistP224: "nist_p224", tpm2.TPMECCNistP256: "nist_p256",
	tpm2.TPMECCNistP384: "nist_p384", tpm2.TPMECCNistP521: "nist_p521", tpm2.TPMECCBNP256: "bn_p256",
	tpm2.TPMECCBNP638: "bn_p638", tpm2.TPMECCSM2P256: "sm2_p256", tpm2.TPMECCBrainpoolP256R1: "bp_p256_r1",
	tpm2.TPMECCBrainpoolP384R1: "bp_p384_r1", tpm2.TPMECCBrainpoolP512R1: "bp_p512_r1",
	tpm2.TPMECCCurve25519: "curve_25519", tpm2.TPMECCCurve448: "curve_448",
}

// CurveName is the word for a curve, or its number in hex.
func CurveName(c tpm2.TPMECCCurve) string { return nameOr(curveNames, c, "0x%04x") }

// handleNames are the permanent handles (part 2, section 7.4) and persistent ones that everybody uses alike.
var handleNames = map[tpm2.TPMHandle]string{
	tpm2.TPMRHOwner: "owner", tpm2.TPMRHNull: "null", tpm2.TPMRSPW: "password session", tpm2.TPMRHLockout: "lockout",
	tpm2.TPMRHEndorsement: "endorsement", tpm2.TPMRHPlatform: "platform", tpm2.TPMRHPlatformNV: "platform NV",
	SRKHandle: "storage root key", 0x81000002: "storage root key (ECC)", 0x81000003: "attestation key of Azure",
	0x81008f00: "attestation key of go-tpm-tools (RSA)", 0x81008f01: "attestation key of go-tpm-tools (ECC)",
	0x81010001: "endorsement key", 0x81010002: "endorsement key (ECC)", 0x81010003: "attestation key of Alibaba Cloud's agent",
	0x01c00002: "endorsement certificate (RSA 2048)", 0x01c00003: "endorsement nonce (RSA 2048)",
	0x01c00004: "endorsement template (RSA 2048)", 0x01c0000a: "endorsement certificate (P-256)",
	0x01c0000b: "endorsement nonce (P-256)", 0x01c0000c: "endorsement template (P-256)",
	0x01c00012: "endorsement certificate H-1 (RSA 2048)", 0x01c00013: "endorsement template H-1",
	0x01c00014: "endorsement certificate H-2 (P-256)", 0x01c00015: "endorsement template H-2",
	0x01c00016: "endorsement certificate H-3 (P-384)", 0x01c00017: "endorsement template H-3",
	0x01c00018: "endorsement certificate H-4 (P-521)", 0x01c00019: "endorsement template H-4",
	0x01c0001a: "endorsement certificate H-5 (SM2)", 0x01c0001b: "endorsement template H-5",
	0x01c0001c: "endorsement certificate H-6 (RSA 3072)", 0x01c0001d: "endorsement template H-6",
	0x01c0001e: "endorsement certificate H-7 (RSA 4096)", 0x01c0001f: "endorsement template H-7",
	0x01c10000: "attestation certificate of Google Cloud (RSA)", 0x01c10001: "attestation template of Google Cloud (RSA)",
	0x01c10002: "attestation certificate of Google Cloud (ECC)", 0x01c10003: "attestation template of Google Cloud (ECC)",
	0x01c101d0: "attestation certificate of Azure", 0x01400001: "confidential VM report of Azure",
	0x01c90100: "initial attestation certificate", 0x01c90200: "initial device certificate",
}

// HandleName is what a handle is by convention, or "".
func HandleName(h tpm2.TPMHandle) string {
	if name, ok := handleNames[h]; ok {
		return name
	}
	switch { // TCG registry of reserved handles; clouds and systemd have their own below
	case h>>24 == tpm2.TPMHandle(tpm2.TPMHTPCR) && h < 32:
		return fmt.Sprintf("PCR %d", h)
	case h >= 0x01c00100 && h <= 0x01c001ff:
		return "endorsement certificate chain"
	case h >= 0x01c08000 && h <= 0x01c0ffff:
		return "platform certificate"
	case h >= 0x01d10200 && h <= 0x01d102ff:
		return "NvPCR of systemd"
	}
	return ""
}

// manufacturers are the vendor ids of the TCG registry, version 1.08, and those that are in use without being there.
var manufacturers = map[string]string{
	"AMD": "AMD", "ANT": "Ant Group", "ARM": "Arm", "ATML": "Atmel", "BRCM": "Broadcom", "CSCO": "Cisco", "FLYS": "Flyslice",
	"ROCC": "Fuzhou Rockchip", "GOOG": "Google", "HPI": "HP", "HPE": "Hewlett Packard Enterprise", "HISI": "Huawei",
	"IBM": "IBM", "IFX": "Infineon", "INTC": "Intel", "LEN": "Lenovo", "MSFT": "Microsoft", "NSM": "National Semiconductor",
	"NTZ": "Nationz", "NSG": "NSING", "NTC": "Nuvoton", "QCOM": "Qualcomm", "SMSN": "Samsung", "SECE": "SecEdge",
	"SNS": "Sinosun", "SMSC": "SMSC", "STM": "STMicroelectronics", "TXN": "Texas Instruments", "WEC": "Winbond",
	"SEAL": "Wisekey", "SIM0": "simulator 0", "SIM1": "simulator 1", "SIM2": "simulator 2", "SIM3": "simulator 3",
	"FIDO": "FIDO Alliance",

	"AMZN": "Amazon Web Services", "VMW": "VMware", "VTPC": "vtpmctl's software TPM", "XYZ": "TCG reference simulator",
}

func manufacturerOf(word uint32) Manufacturer {
	id := letters(word)
	return Manufacturer{ID: id, Name: manufacturers[id]}
}

// algorithmBits are the bits of TPMA_ALGORITHM (part 2, section 8.2).
var algorithmBits = map[int]string{
	0: "asymmetric", 1: "symmetric", 2: "hash", 3: "object", 8: "signing", 9: "encrypting", 10: "method",
}

// bitNames lists the names of the bits that are set, lowest first.
func bitNames(word uint32, names map[int]string) []string {
	list := []string{}
	for bit := range 32 {
		if name, ok := names[bit]; ok && word>>bit&1 != 0 {
			list = append(list, name)
		}
	}
	return list
}

func nameOr[K ~uint16](names map[K]string, k K, format string) string {
	if name, ok := names[k]; ok {
		return name
	}
	return fmt.Sprintf(format, uint16(k))
}

// propertyNames are the names of part 2, section 6.13.
var propertyNames = map[tpm2.TPMPT]string{
	0x100: "TPM_PT_FAMILY_INDICATOR", 0x101: "TPM_PT_LEVEL", 0x102: "TPM_PT_REVISION",
	0x103: "TPM_PT_DAY_OF_YEAR", 0x104: "TPM_PT_YEAR", 0x105: "TPM_PT_MANUFACTURER",
	0x106: "TPM_PT_VENDOR_STRING_1", 0x107: "TPM_PT_VENDOR_STRING_2", 0x108: "TPM_PT_VENDOR_STRING_3",
	0x109: "TPM_PT_VENDOR_STRING_4", 0x10a: "TPM_PT_VENDOR_TPM_TYPE", 0x10b: "TPM_PT_FIRMWARE_VERSION_1",
	0x10c: "TPM_PT_FIRMWARE_VERSION_2", 0x10d: "TPM_PT_INPUT_BUFFER", 0x10e: "TPM_PT_HR_TRANSIENT_MIN",
	0x10f: "TPM_PT_HR_PERSISTENT_MIN", 0x110: "TPM_PT_HR_LOADED_MIN", 0x111: "TPM_PT_ACTIVE_SESSIONS_MAX",
	0x112: "TPM_PT_PCR_COUNT", 0x113: "TPM_PT_PCR_SELECT_MIN", 0x114: "TPM_PT_CONTEXT_GAP_MAX",
	0x116: "TPM_PT_NV_COUNTERS_MAX", 0x117: "TPM_PT_NV_INDEX_MAX", 0x118: "TPM_PT_MEMORY",
	0x119: "TPM_PT_CLOCK_UPDATE", 0x11a: "TPM_PT_CONTEXT_HASH", 0x11b: "TPM_PT_CONTEXT_SYM",
	0x11c: "TPM_PT_CONTEXT_SYM_SIZE", 0x11d: "TPM_PT_ORDERLY_COUNT", 0x11e: "TPM_PT_MAX_COMMAND_SIZE",
	0x11f: "TPM_PT_MAX_RESPONSE_SIZE", 0x120: "TPM_PT_MAX_DIGEST", 0x121: "TPM_PT_MAX_OBJECT_CONTEXT",
	0x122: "TPM_PT_MAX_SESSION_CONTEXT", 0x123: "TPM_PT_PS_FAMILY_INDICATOR", 0x124: "TPM_PT_PS_LEVEL",
	0x125: "TPM_PT_PS_REVISION", 0x126: "TPM_PT_PS_DAY_OF_YEAR", 0x127: "TPM_PT_PS_YEAR",
	0x128: "TPM_PT_SPLIT_MAX", 0x129: "TPM_PT_TOTAL_COMMANDS", 0x12a: "TPM_PT_LIBRARY_COMMANDS",
	0x12b: "TPM_PT_VENDOR_COMMANDS", 0x12c: "TPM_PT_NV_BUFFER_MAX", 0x12d: "TPM_PT_MODES",
	0x12e: "TPM_PT_MAX_CAP_BUFFER", 0x12f: "TPM_PT_FIRMWARE_SVN", 0x130: "TPM_PT_FIRMWARE_MAX_SVN",
	0x200: "TPM_PT_PERMANENT", 0x201: "TPM_PT_STARTUP_CLEAR", 0x202: "TPM_PT_HR_NV_INDEX",
	0x203: "TPM_PT_HR_LOADED", 0x204: "TPM_PT_HR_LOADED_AVAIL", 0x205: "TPM_PT_HR_ACTIVE",
	0x206: "TPM_PT_HR_ACTIVE_AVAIL", 0x207: "TPM_PT_HR_TRANSIENT_AVAIL", 0x208: "TPM_PT_HR_PERSISTENT",
	0x209: "TPM_PT_HR_PERSISTENT_AVAIL", 0x20a: "TPM_PT_NV_COUNTERS", 0x20b: "TPM_PT_NV_COUNTERS_AVAIL",
	0x20c: "TPM_PT_ALGORITHM_SET", 0x20d: "TPM_PT_LOADED_CURVES", 0x20e: "TPM_PT_LOCKOUT_COUNTER",
	0x20f: "TPM_PT_MAX_AUTH_FAIL", 0x210: "TPM_PT_LOCKOUT_INTERVAL", 0x211: "TPM_PT_LOCKOUT_RECOVERY",
	0x212: "TPM_PT_NV_WRITE_RECOVERY", 0x213: "TPM_PT_AUDIT_COUNTER_0", 0x214: "TPM_PT_AUDIT_COUNTER_1",
}
