package eventlog

import (
	"fmt"
	"strconv"
	"strings"
)

// EventType is the type of an event (TCG PC Client Platform Firmware Profile, "Event Types"). No digest covers it: a
// log can be retyped without changing what its replay gives.
type EventType uint32

// The event types whose data this package understands.
const (
	EVPrebootCert          EventType = 0x00000000
	EVPostCode             EventType = 0x00000001
	EVUnused               EventType = 0x00000002
	EVNoAction             EventType = 0x00000003
	EVSeparator            EventType = 0x00000004
	EVAction               EventType = 0x00000005
	EVEventTag             EventType = 0x00000006
	EVSCRTMContents        EventType = 0x00000007
	EVSCRTMVersion         EventType = 0x00000008
	EVCPUMicrocode         EventType = 0x00000009
	EVPlatformConfigFlags  EventType = 0x0000000a
	EVTableOfDevices       EventType = 0x0000000b
	EVCompactHash          EventType = 0x0000000c
	EVIPL                  EventType = 0x0000000d
	EVIPLPartitionData     EventType = 0x0000000e
	EVNonhostCode          EventType = 0x0000000f
	EVNonhostConfig        EventType = 0x00000010
	EVNonhostInfo          EventType = 0x00000011
	EVOmitBootDeviceEvents EventType = 0x00000012
	EVPostCode2            EventType = 0x00000013

	EVEFIVariableDriverConfig EventType = 0x80000001
	EVEFIVariableBoot         EventType = 0x80000002
	EVEFIBootServicesApp      EventType = 0x80000003
	EVEFIBootServicesDriver   EventType = 0x80000004
	EVEFIRuntimeDriver        EventType = 0x80000005
	EVEFIGPTEvent             EventType = 0x80000006
	EVEFIAction               EventType = 0x80000007
	EVEFIFirmwareBlob         EventType = 0x80000008
	EVEFIHandoffTables        EventType = 0x80000009
	EVEFIFirmwareBlob2        EventType = 0x8000000a
	EVEFIHandoffTables2       EventType = 0x8000000b
	EVEFIVariableBoot2        EventType = 0x8000000c
	EVEFIGPTEvent2            EventType = 0x8000000d
	EVEFIHCRTMEvent           EventType = 0x80000010
	EVEFIVariableAuthority    EventType = 0x800000e0
	EVEFISPDMFirmwareBlob     EventType = 0x800000e1
	EVEFISPDMFirmwareConfig   EventType = 0x800000e2
	EVEFISPDMDevicePolicy     EventType = 0x800000e3
	EVEFISPDMDeviceAuthority  EventType = 0x800000e4
)

var typeNames = map[EventType]string{
	EVPrebootCert:          "EV_PREBOOT_CERT",
	EVPostCode:             "EV_POST_CODE",
	EVUnused:               "EV_UNUSED",
	EVNoAction:             "EV_NO_ACTION",
	EVSeparator:            "EV_SEPARATOR",
	EVAction:               "EV_ACTION",
	EVEventTag:             "EV_EVENT_TAG",
	EVSCRTMContents:        "EV_S_CRTM_CONTENTS",
	EVSCRTMVersion:         "EV_S_CRTM_VERSION",
	EVCPUMicrocode:         "EV_CPU_MICROCODE",
	EVPlatformConfigFlags:  "EV_PLATFORM_CONFIG_FLAGS",
	EVTableOfDevices:       "EV_TABLE_OF_DEVICES",
	EVCompactHash:          "EV_COMPACT_HASH",
	EVIPL:                  "EV_IPL",
	EVIPLPartitionData:     "EV_IPL_PARTITION_DATA",
	EVNonhostCode:          "EV_NONHOST_CODE",
	EVNonhostConfig:        "EV_NONHOST_CONFIG",
	EVNonhostInfo:          "EV_NONHOST_INFO",
	EVOmitBootDeviceEvents: "EV_OMIT_BOOT_DEVICE_EVENTS",
	EVPostCode2:            "EV_POST_CODE2",

	EVEFIVariableDriverConfig: "EV_EFI_VARIABLE_DRIVER_CONFIG",
	EVEFIVariableBoot:         "EV_EFI_VARIABLE_BOOT",
	EVEFIBootServicesApp:      "EV_EFI_BOOT_SERVICES_APPLICATION",
	EVEFIBootServicesDriver:   "EV_EFI_BOOT_SERVICES_DRIVER",
	EVEFIRuntimeDriver:        "EV_EFI_RUNTIME_SERVICES_DRIVER",
	EVEFIGPTEvent:             "EV_EFI_GPT_EVENT",
	EVEFIAction:               "EV_EFI_ACTION",
	EVEFIFirmwareBlob:         "EV_EFI_PLATFORM_FIRMWARE_BLOB",
	EVEFIHandoffTables:        "EV_EFI_HANDOFF_TABLES",
	EVEFIFirmwareBlob2:        "EV_EFI_PLATFORM_FIRMWARE_BLOB2",
	EVEFIHandoffTables2:       "EV_EFI_HANDOFF_TABLES2",
	EVEFIVariableBoot2:        "EV_EFI_VARIABLE_BOOT2",
	EVEFIGPTEvent2:            "EV_EFI_GPT_EVENT2",
	EVEFIHCRTMEvent:           "EV_EFI_HCRTM_EVENT",
	EVEFIVariableAuthority:    "EV_EFI_VARIABLE_AUTHORITY",
	EVEFISPDMFirmwareBlob:     "EV_EFI_SPDM_FIRMWARE_BLOB",
	EVEFISPDMFirmwareConfig:   "EV_EFI_SPDM_FIRMWARE_CONFIG",
	EVEFISPDMDevicePolicy:     "EV_EFI_SPDM_DEVICE_POLICY",
	EVEFISPDMDeviceAuthority:  "EV_EFI_SPDM_DEVICE_AUTHORITY",

	// Intel TXT (Software Development Guide, appendix on the event log) and TrenchBoot's secure launch.
	0x401: "TXT_PCR_MAPPING", 0x402: "TXT_HASH_START", 0x403: "TXT_COMBINED_HASH", 0x404: "TXT_MLE_HASH",
	0x40a: "TXT_BIOSAC_REG_DATA", 0x40b: "TXT_CPU_SCRTM_STAT", 0x40c: "TXT_LCP_CONTROL_HASH",
	0x40d: "TXT_ELEMENTS_HASH", 0x40e: "TXT_STM_HASH", 0x40f: "TXT_OSSINITDATA_CAP_HASH",
	0x410: "TXT_SINIT_PUBKEY_HASH", 0x411: "TXT_LCP_HASH", 0x412: "TXT_LCP_DETAILS_HASH",
	0x413: "TXT_LCP_AUTHORITIES_HASH", 0x414: "TXT_NV_INFO_HASH", 0x415: "TXT_COLD_BOOT_BIOS_HASH",
	0x416: "TXT_KM_HASH", 0x417: "TXT_BPM_HASH", 0x418: "TXT_KM_INFO_HASH", 0x419: "TXT_BPM_INFO_HASH",
	0x41a: "TXT_BOOT_POL_HASH", 0x4fe: "TXT_RANDOM_VALUE", 0x4ff: "TXT_CAP_VALUE",
	0x501: "SLAUNCH", 0x502: "SLAUNCH_START", 0x503: "SLAUNCH_END",

	// AMD's secure launch and its security processor (wbcl.h); the boot loaders of the latter are numbered.
	0x8001: "AMD_SL_LOAD", 0x8002: "AMD_SL_PSP_FW_SPLT", 0x8003: "AMD_SL_TSME_RB_FUSE", 0x8004: "AMD_SL_PUB_KEY",
	0x8005: "AMD_SL_SVN", 0x8006: "AMD_SL_LOAD_1", 0x8007: "AMD_SL_SEPARATOR",
	0x8201: "AMD_SPL_TABLE_ROM", 0x8202: "AMD_PSP_BL_STAGE_1", 0x8203: "AMD_PSP_KEYDB", 0x8204: "AMD_SPL_TABLE_FW",
	0x8205: "AMD_PSP_BL_STAGE_2", 0x8206: "AMD_PSP_L0_SEC_POL", 0x8207: "AMD_PMFW0", 0x8208: "AMD_MP2_CONFIG", 0x8209: "AMD_MP2_FW",
	0x823a: "AMD_MID_SMU", 0x823b: "AMD_PM_FW1",
}

// AMD's boot loaders have 48 numbers in a row.
const firstAMDLoader, lastAMDLoader = 0x820a, 0x8239

func (t EventType) String() string {
	if name, ok := typeNames[t]; ok {
		return name
	}
	if t >= firstAMDLoader && t <= lastAMDLoader {
		return fmt.Sprintf("AMD_ABL_%d", t-firstAMDLoader+1)
	}
	return fmt.Sprintf("0x%08x", uint32(t))
}

// Known tells whether t has a name.
func (t EventType) Known() bool { _, ok := typeNames[t]; return ok }

// MarshalText gives String.
func (t EventType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// ParseType reads a type as a user writes it: a TCG name, with or without "EV_", in any case, or a number.
func ParseType(text string) (EventType, bool) {
	name := strings.ReplaceAll(strings.ToUpper(strings.TrimSpace(text)), "-", "_")
	for _, prefix := range []string{"", "EV_", "EV_EFI_", "TXT_"} { // EV_ACTION before EV_EFI_ACTION
		for t, n := range typeNames {
			if n == prefix+name {
				return t, true
			}
		}
	}
	n, err := strconv.ParseUint(text, 0, 32)
	return EventType(n), err == nil
}
