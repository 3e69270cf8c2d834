package host_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/vtpmctl/vtpmctl/internal/host"
)

// machine has the given DMI strings, "field=value".
func machine(dmi ...string) host.Host {
	files := fstest.MapFS{}
	for _, d := range dmi {
		field, value, _ := strings.Cut(d, "=")
		files["sys/class/dmi/id/"+field] = &fstest.MapFile{Data: []byte(value + "\n")}
	}
	return host.Host{OS: "linux", Root: files}
}

func TestPlatforms(t *testing.T) {
	swtpm := host.TPMFacts{Manufacturer: "IBM", VendorString: "SW   TPM"}
	tcm := machine("sys_vendor=Alibaba Cloud", "product_name=Alibaba Cloud ECS")
	tcm.Root.(fstest.MapFS)["dev/tcmrm0"] = &fstest.MapFile{}
	for what, tt := range map[string]struct {
		machine host.Host
		tpm     host.TPMFacts
		want    string
	}{
		"EC2 with NitroTPM": {machine("sys_vendor=Amazon EC2", "product_name=m7i.large"),
			host.TPMFacts{Manufacturer: "AMZN", VendorString: "NitroTPM", VendorCommands: []uint32{0x20000001}}, "aws high"},
		"EC2 by its firmware alone": {machine("sys_vendor=Amazon EC2"), host.TPMFacts{}, "aws medium"},
		"Alibaba Cloud":             {machine("product_name=Alibaba Cloud ECS"), host.TPMFacts{Manufacturer: "IBM", Handles: []uint32{0x81010003}}, "alibaba high"},
		"Alibaba Cloud with a TCM":  {tcm, host.TPMFacts{}, "alibaba medium, tcm medium"},
		"Open Telekom Cloud over QEMU": {machine("sys_vendor=QEMU", "product_name=OpenStack Nova", "chassis_asset_tag=OpenTelekomCloud"),
			swtpm, "otc medium"},
		"Huawei Cloud":       {machine("chassis_asset_tag=HUAWEICLOUD", "product_name=OpenStack Nova"), swtpm, "huawei medium"},
		"Google Cloud":       {machine("product_name=Google Compute Engine"), host.TPMFacts{Manufacturer: "GOOG", Handles: []uint32{0x01c10000}}, "gcp high"},
		"a Google machine":   {machine("product_name=Google"), host.TPMFacts{}, "gcp low"},
		"Azure":              {machine("sys_vendor=Microsoft Corporation", "chassis_asset_tag=7783-7084-3265-9085-8269-3286-77"), host.TPMFacts{Manufacturer: "MSFT", Handles: []uint32{0x81000003}}, "azure high"},
		"Hyper-V":            {machine("sys_vendor=Microsoft Corporation", "product_name=Virtual Machine"), host.TPMFacts{Manufacturer: "MSFT"}, "hyperv high"},
		"VMware":             {machine("sys_vendor=VMware, Inc."), host.TPMFacts{Manufacturer: "VMW"}, "vmware high"},
		"QEMU with swtpm":    {machine("sys_vendor=QEMU"), swtpm, "qemu high"},
		"OpenStack":          {machine("product_name=OpenStack Nova"), swtpm, "openstack medium, qemu medium"},
		"QEMU, our engine":   {machine("sys_vendor=QEMU"), host.TPMFacts{Manufacturer: "VTPC"}, "qemu medium, vtpmctl medium"},
		"a chip":             {machine("sys_vendor=LENOVO"), host.TPMFacts{Manufacturer: "IFX"}, "hardware medium"},
		"nothing known":      {machine(), host.TPMFacts{}, ""},
		"a vendor's command": {machine(), host.TPMFacts{Manufacturer: "IBM", VendorCommands: []uint32{0x20000001}}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			var got []string
			for _, p := range tt.machine.Platforms(tt.tpm) {
				got = append(got, p.ID+" "+string(p.Confidence))
				if p.Name == "" || len(p.Signals) == 0 {
					t.Errorf("%+v", p)
				}
			}
			if s := strings.Join(got, ", "); s != tt.want {
				t.Errorf("%q, want %q", s, tt.want)
			}
		})
	}
}
