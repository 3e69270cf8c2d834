package host

import (
	"strconv"

	"golang.org/x/sys/windows/registry"
)

// registryNames are the values below HARDWARE\DESCRIPTION\System\BIOS that carry DMI strings. The chassis' asset tag is
// not among them.
var registryNames = map[string]string{
	"sys_vendor": "SystemManufacturer", "product_name": "SystemProductName", "bios_vendor": "BIOSVendor",
}

func localDMI(field string) string {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, `HARDWARE\DESCRIPTION\System\BIOS`, registry.QUERY_VALUE)
	if err != nil {
		return ""
	}
	defer key.Close()
	value, _, err := key.GetStringValue(registryNames[field])
	if err != nil {
		return ""
	}
	return value
}

// integrityServices is where the kernel leaves the log of the present boot, as the value WBCL.
const integrityServices = `SYSTEM\CurrentControlSet\Control\IntegrityServices`

func localWBCL() []byte {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, integrityServices, registry.QUERY_VALUE)
	if err != nil {
		return nil
	}
	defer key.Close()
	log, _, err := key.GetBinaryValue("WBCL")
	if err != nil {
		return nil
	}
	return log
}

// localBoot is the number that Windows gives each boot. The time of the boot would not do: it moves when the clock is set.
func localBoot() string {
	const path = `SYSTEM\CurrentControlSet\Control\Session Manager\Memory Management\PrefetchParameters`
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, path, registry.QUERY_VALUE)
	if err != nil {
		return ""
	}
	defer key.Close()
	n, _, err := key.GetIntegerValue("BootId")
	if err != nil {
		return ""
	}
	return "boot " + strconv.FormatUint(n, 10)
}
