package eventlog

import (
	"encoding/hex"

	"github.com/vtpmctl/vtpmctl/internal/wire"
)

// GUID is an EFI GUID as it stands in memory: the first three fields are little-endian.
type GUID [16]byte

func (g GUID) String() string {
	text := make([]byte, 0, 36)
	for i, from := range [16]int{3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15} {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, g[from:from+1])
	}
	return string(text)
}

// MarshalText gives String.
func (g GUID) MarshalText() ([]byte, error) { return []byte(g.String()), nil }

// Name is what g stands for, "" where it has no well-known name.
func (g GUID) Name() string { return guidNames[g.String()] }

// readGUID reads 16 bytes; it gives the zero GUID after a failed read.
func readGUID(r *wire.Reader) GUID {
	if b := r.Bytes(16); b != nil {
		return GUID(b)
	}
	return GUID{}
}

// GUIDs that decoders act on, in text form.
const (
	guidGlobalVariable  = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
	guidImageSecurity   = "d719b2cb-3d3a-4596-a3bc-dad00e67656f"
	guidShimLock        = "605dab50-e046-4300-abb6-3dd810dd8b23"
	guidMicrosoftVendor = "77fa9abd-0359-4d32-bd60-28f4e78f784b"
	guidCertX509        = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072"
	guidCertSHA1        = "826ca512-cf10-4ac9-b187-be01496631bd"
	guidCertSHA256      = "c1c41626-504c-4092-aca9-41f936934328"
	guidCertSHA384      = "ff3e5307-9fd0-48c9-85f1-8ad56c701e01"
	guidCertSHA512      = "093e0fae-a6c4-4f50-9f1b-d41e2b89c19a"
	guidCertRSA2048     = "3c5766e8-269c-4e34-aa14-ed776e85b3b6"
	guidX509SHA256      = "3bd2a492-96c0-4079-b420-fcf98ef103ed"
	guidX509SHA384      = "7076876e-80c2-4ee6-aad2-28b349a6865b"
	guidX509SHA512      = "446dbf63-2502-4cda-bcfa-2465d2b0fe9d"
	guidCertPKCS7       = "4aafd29d-68df-49ee-8aa9-347d375665a7"
)

var guidNames = map[string]string{
	guidGlobalVariable: "EFI global variable", guidImageSecurity: "image security database", guidShimLock: "shim",
	guidMicrosoftVendor: "Microsoft",
	guidCertX509:        "X.509 certificate", guidCertSHA1: "SHA-1 hash", guidCertSHA256: "SHA-256 hash",
	guidCertSHA384: "SHA-384 hash", guidCertSHA512: "SHA-512 hash", guidCertRSA2048: "RSA-2048 key",
	guidX509SHA256: "SHA-256 of a certificate", guidX509SHA384: "SHA-384 of a certificate",
	guidX509SHA512: "SHA-512 of a certificate", guidCertPKCS7: "PKCS#7 certificate",

	// configuration tables, as EV_EFI_HANDOFF_TABLES names them
	"eb9d2d31-2d88-11d3-9a16-0090273fc14d": "SMBIOS", "f2fd1544-9794-4a2c-992e-e5bbcf20e394": "SMBIOS 3",
	"eb9d2d30-2d88-11d3-9a16-0090273fc14d": "ACPI 1.0", "8868e871-e4f1-11d3-bc22-0080c73c8881": "ACPI",
	"b1b621d5-f19c-41a5-830b-d9152c69aae0": "device tree", "eb9d2d2f-2d88-11d3-9a16-0090273fc14d": "MPS",
	"f42f7782-012e-4c12-9956-49f94304f721": "console outputs",

	// partition types
	"c12a7328-f81f-11d2-ba4b-00a0c93ec93b": "EFI system", "0fc63daf-8483-4772-8e79-3d69d8477de4": "Linux filesystem",
	"21686148-6449-6e6f-744e-656564454649": "BIOS boot", "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f": "Linux swap",
	"e6d6d379-f507-44c2-a23c-238f2a3df928": "Linux LVM", "bc13c2ff-59e6-4262-a352-b275fd6f7172": "Linux extended boot",
	"4f68bce3-e8cd-4db1-96e7-fbcaf984b709": "Linux root x86-64", "b921b045-1df0-41c3-af44-4c6f280d3fae": "Linux root arm64",
	"ca7d7ccb-63ed-4c53-861c-1742536059cc": "LUKS", "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7": "Microsoft basic data",
	"e3c9e316-0b5c-4db8-817d-f92df00215ae": "Microsoft reserved", "de94bba4-06d1-4d40-a16a-bfd50179d6ac": "Windows recovery",
}
