package host

import "golang.org/x/sys/windows/registry"

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
