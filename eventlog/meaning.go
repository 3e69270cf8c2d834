package eventlog

// Meaning is what an event type stands for, by the PC Client Platform Firmware Profile, and what its digest covers in
// the logs of real firmware.
type Meaning struct {
	Means  string `json:"means"`
	Covers string `json:"digest_covers"`
}

// What a digest covers.
const (
	coversData     = "the event's data"
	coversOutside  = "bytes that are not in the log; the data is a label"
	coversEither   = "the event's data or bytes that are not in the log, as the firmware's maker chose"
	coversVariable = "the whole variable record; older firmware: its value alone"
	coversPE       = "the Authenticode digest of the program; the data tells where it was loaded from"
)

var meanings = map[EventType]Meaning{
	EVPrebootCert:             {"reserved", "nothing: it must not appear"},
	EVPostCode:                {"firmware code, or a part of it, that was run during power-on", coversOutside},
	EVUnused:                  {"reserved", "nothing: it must not appear"},
	EVNoAction:                {"information for whoever reads the log, such as its header or the startup locality", "nothing: it is never extended"},
	EVSeparator:               {"the end of what firmware measures into this PCR before it starts the boot loader", coversData + "; of an error, the number 1"},
	EVAction:                  {"something the firmware did, in words", coversData},
	EVEventTag:                {"a tagged event of the firmware, the operating system or Windows' loader", coversEither},
	EVSCRTMContents:           {"the code that starts the chain of trust", coversOutside},
	EVSCRTMVersion:            {"the version of the firmware", coversData},
	EVCPUMicrocode:            {"a microcode update of the processor", coversOutside},
	EVPlatformConfigFlags:     {"settings of the platform", coversEither},
	EVTableOfDevices:          {"devices that the platform found", coversEither},
	EVCompactHash:             {"a value of the vendor's; Windows uses it for BitLocker's PCR 11", coversEither},
	EVIPL:                     {"what a boot loader measured: commands, files, kernel command lines", "what the loader read: the text, or the file that the data names"},
	EVIPLPartitionData:        {"partition data of a legacy boot", coversEither},
	EVNonhostCode:             {"code of a part that runs beside the main processors", coversOutside},
	EVNonhostConfig:           {"settings of a part that runs beside the main processors", coversEither},
	EVNonhostInfo:             {"information about a part that runs beside the main processors", coversEither},
	EVOmitBootDeviceEvents:    {"from here on the firmware leaves out events of boot devices", coversData},
	EVPostCode2:               {"firmware code, or a part of it, with a description", coversOutside},
	EVEFIVariableDriverConfig: {"a UEFI variable that firmware acts on, such as SecureBoot, PK, KEK, db and dbx", coversVariable},
	EVEFIVariableBoot:         {"a boot option or the boot order", "the variable's value; some firmware: the whole variable record"},
	EVEFIBootServicesApp:      {"a UEFI program that was started, such as shim, GRUB or a kernel", coversPE},
	EVEFIBootServicesDriver:   {"a UEFI driver that was started and goes away at boot, such as an option ROM", coversPE},
	EVEFIRuntimeDriver:        {"a UEFI driver that stays after boot", coversPE},
	EVEFIGPTEvent:             {"the partition table of the boot disk", coversData},
	EVEFIAction:               {"something UEFI firmware did, in words, such as leaving boot services", coversData},
	EVEFIFirmwareBlob:         {"a volume of the firmware", coversOutside},
	EVEFIHandoffTables:        {"tables that firmware hands to the operating system, such as SMBIOS", coversOutside},
	EVEFIFirmwareBlob2:        {"a volume of the firmware, with a description", coversOutside},
	EVEFIHandoffTables2:       {"tables that firmware hands to the operating system, with a description", coversOutside},
	EVEFIVariableBoot2:        {"a boot option or the boot order", coversData},
	EVEFIGPTEvent2:            {"the partition table of the boot disk without its unique identifiers", coversData},
	EVEFIHCRTMEvent:           {"code that was measured by hardware before the firmware ran", coversOutside},
	EVEFIVariableAuthority:    {"the certificate or hash that let a program pass Secure Boot, and shim's own lists", coversData},
	EVEFISPDMFirmwareBlob:     {"the firmware of a device, as the device reports it", coversEither},
	EVEFISPDMFirmwareConfig:   {"the settings of a device, as the device reports them", coversEither},
	EVEFISPDMDevicePolicy:     {"the policy by which devices are authenticated", coversData},
	EVEFISPDMDeviceAuthority:  {"the authority that vouched for a device", coversData},
}

// Meaning explains t; it is empty for a type without a name.
func (t EventType) Meaning() Meaning { return meanings[t] }
