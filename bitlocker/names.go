package bitlocker

import "fmt"

// State is the conversion state of a volume.
type State uint16

const stateDecrypted State = 1

var stateNames = map[State]string{
	0: "null",

	stateDecrypted: "decrypted",

	2: "converting",
	3: "paused",
	4: "encrypted",
	5: "switching",
}

// MarshalText names the state.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

func (s State) String() string {
	if name, ok := stateNames[s]; ok {
		return name
	}
	return fmt.Sprintf("unknown_%d", uint16(s))
}

// Method is the cipher of the volume's data.
type Method uint16

var methodNames = map[Method]string{
	0x8000: "aes-cbc-128-diffuser",
	0x8001: "aes-cbc-256-diffuser",
	0x8002: "aes-cbc-128",
	0x8003: "aes-cbc-256",
	0x8004: "aes-xts-128",
	0x8005: "aes-xts-256",
}

// MarshalText names the method.
func (m Method) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func (m Method) String() string {
	if name, ok := methodNames[m]; ok {
		return name
	}
	return fmt.Sprintf("unknown_0x%04x", uint16(m))
}

var roleNames = map[uint16]string{
	0x0000: "property",
	0x0002: "volume_master_key",
	0x0003: "full_volume_key",
	0x0004: "bcd_validation",
	0x0006: "startup_key",
	0x0007: "description",
	0x000b: "auto_unlock_key",
	0x000f: "volume_header",
	0x0011: "bcd_validation_2",
	0x0019: "volume_guid",
}

var valueNames = map[uint16]string{
	0x0000: "erased",
	0x0001: "key",
	0x0002: "string",
	0x0003: "stretch_key",
	0x0004: "use_key",
	0x0005: "aes_ccm_key",
	0x0006: "tpm_blob",
	0x0007: "bcd_list",
	0x0008: "volume_master_key",
	0x0009: "external_key",
	0x000a: "update",
	0x000b: "error_log",
	0x000c: "asymmetric_key",
	0x000d: "exported_key",
	0x000e: "public_key_info",
	0x000f: "extent",
	0x0012: "hash_key",
	0x0013: "u32",
	0x0015: "backup_times",
	0x0017: "guid",
	0x0018: "hint",
}

func nameOf[K comparable](names map[K]string, code K) string {
	if name, ok := names[code]; ok {
		return name
	}
	return "unknown"
}
