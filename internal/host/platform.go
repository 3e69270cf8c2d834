package host

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// TPMFacts is what a TPM says that tells whose it is.
type TPMFacts struct {
	Manufacturer   string // registered letters
	VendorString   string
	VendorCommands []uint32
	Handles        []uint32 // persistent objects and NV indices
}

// Platform is a cloud, hypervisor or kind of machine, and why it is thought to be this one. Firmware tables and TPM
// properties come from the hypervisor, which can let them say anything: they guide defaults and prove nothing.
type Platform struct {
	ID         string     `json:"id"`
	Name       string     `json:"name"`
	Confidence Confidence `json:"confidence"`
	Signals    []Signal   `json:"signals"`
}

// Confidence is high when firmware and TPM agree, medium when one of them is unmistakable, low otherwise.
type Confidence string

// The confidences.
const (
	High   Confidence = "high"
	Medium Confidence = "medium"
	Low    Confidence = "low"
)

// Signal is one thing seen.
type Signal struct {
	Source string `json:"source"` // "dmi sys_vendor", "tpm manufacturer"
	Value  string `json:"value"`
	strong bool
}

func (s Signal) String() string { return s.Source + " " + s.Value }

// dmiFields are the attributes of /sys/class/dmi/id that every user may read.
var dmiFields = []string{"sys_vendor", "product_name", "chassis_asset_tag", "bios_vendor"}

// dmiRules tell a platform by the start of a DMI string.
var dmiRules = []struct {
	field, prefix, platform string
	strong                  bool
}{
	{"sys_vendor", "Amazon EC2", "aws", true},
	{"product_name", "Alibaba Cloud ECS", "alibaba", true},
	{"chassis_asset_tag", "OpenTelekomCloud", "otc", true},
	{"chassis_asset_tag", "HUAWEICLOUD", "huawei", true},
	{"product_name", "Google Compute Engine", "gcp", true},
	{"product_name", "Google", "gcp", false},
	{"chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77", "azure", true},
	{"sys_vendor", "Microsoft Corporation", "hyperv", false},
	{"sys_vendor", "VMware", "vmware", true},
	{"chassis_asset_tag", "OracleCloud.com", "oci", true},
	{"chassis_asset_tag", "SAP CCloud VM", "sap", true},
	{"chassis_asset_tag", "Samsung Cloud Platform", "samsung", true},
	{"sys_vendor", "Hetzner", "hetzner", true},
	{"sys_vendor", "Akamai", "akamai", true},
	{"sys_vendor", "Linode", "akamai", true},
	{"sys_vendor", "DigitalOcean", "digitalocean", true},
	{"sys_vendor", "UpCloud", "upcloud", true},
	{"sys_vendor", "Vultr", "vultr", true},
	{"sys_vendor", "Scaleway", "scaleway", true},
	{"sys_vendor", "Exoscale", "exoscale", true},
	{"product_name", "Exoscale", "exoscale", true},
	{"product_name", "CloudStack", "cloudstack", true},
	{"product_name", "OpenStack Nova", "openstack", true},
	{"product_name", "OpenStack Compute", "openstack", true},
	{"sys_vendor", "QEMU", "qemu", true},
}

// manufacturerRules tell a platform by the letters of the TPM's manufacturer.
var manufacturerRules = map[string]string{
	"AMZN": "aws", "GOOG": "gcp", "VMW": "vmware", "MSFT": "hyperv", "VTPC": "vtpmctl",
	"IFX": "hardware", "STM": "hardware", "NTC": "hardware", "INTC": "hardware", "AMD": "hardware", "NTZ": "hardware",
	"NSG": "hardware", "HISI": "hardware", "ATML": "hardware", "BRCM": "hardware", "QCOM": "hardware",
}

// handleRules tell a platform by what it provisions into the TPM.
var handleRules = map[uint32]string{
	0x81000003: "azure", 0x01c101d0: "azure", 0x01400001: "azure", 0x81010003: "alibaba",
	0x01c10000: "gcp", 0x01c10001: "gcp", 0x01c10002: "gcp", 0x01c10003: "gcp",
}

// commandNitroAttest is NitroTPM's vendor command.
const commandNitroAttest = 0x20000001

var platformNames = map[string]string{
	"aws": "Amazon EC2 (NitroTPM)", "alibaba": "Alibaba Cloud", "otc": "Open Telekom Cloud", "huawei": "Huawei Cloud",
	"gcp": "Google Cloud", "azure": "Microsoft Azure", "hyperv": "Hyper-V", "vmware": "VMware", "oci": "Oracle Cloud",
	"sap": "SAP Converged Cloud", "samsung": "Samsung Cloud", "hetzner": "Hetzner", "akamai": "Akamai (Linode)",
	"digitalocean": "DigitalOcean", "upcloud": "UpCloud", "vultr": "Vultr", "scaleway": "Scaleway", "exoscale": "Exoscale",
	"cloudstack": "CloudStack", "openstack": "OpenStack", "qemu": "QEMU with swtpm", "tcm": "a TCM 2.0 (GM/T 0012)",
	"hardware": "a TPM chip or firmware TPM", "vtpmctl": "vtpmctl's software TPM",
}

// beneath are the platforms that others are built on: they go unmentioned where one of those is known.
var beneath = map[string]bool{"qemu": true, "hyperv": true, "openstack": true, "cloudstack": true}

// ofTPM are those that tell of the TPM alone, and say nothing of the machine.
var ofTPM = map[string]bool{"tcm": true, "vtpmctl": true}

// Platforms tells what this machine and its TPM may be, the likeliest first. It is empty when nothing speaks for any.
func (h Host) Platforms(t TPMFacts) []Platform {
	signals := map[string][]Signal{}
	add := func(id, source, value string, strong bool) {
		signals[id] = append(signals[id], Signal{source, value, strong})
	}
	for _, field := range dmiFields {
		value := h.DMI(field)
		for _, rule := range dmiRules {
			if rule.field == field && strings.HasPrefix(value, rule.prefix) {
				add(rule.platform, "dmi "+field, value, rule.strong)
				break // the first rule of a field is the sharpest
			}
		}
	}
	if id, ok := manufacturerRules[t.Manufacturer]; ok {
		add(id, "tpm manufacturer", t.Manufacturer, true)
	}
	if strings.HasPrefix(t.VendorString, "SW ") && t.Manufacturer == "IBM" {
		add("qemu", "tpm vendor string", t.VendorString, true)
	}
	if slices.Contains(t.VendorCommands, commandNitroAttest) && t.Manufacturer == "AMZN" {
		add("aws", "tpm vendor command", fmt.Sprintf("0x%08x", commandNitroAttest), true)
	}
	for _, handle := range t.Handles {
		if id, ok := handleRules[handle]; ok {
			add(id, "tpm handle", fmt.Sprintf("0x%08x", handle), false)
		}
	}
	if h.exists("dev/tcm0") || h.exists("dev/tcmrm0") {
		add("tcm", "device", "/dev/tcm0", true)
	}
	return rank(signals)
}

// rank makes platforms of signals and leaves out what lies beneath another.
func rank(signals map[string][]Signal) []Platform {
	var all []*Platform // sorting pointers shares the code that sorts other pointers
	known := false
	for id, s := range signals {
		p := &Platform{ID: id, Name: platformNames[id], Confidence: confidence(s), Signals: s}
		known = known || !beneath[id] && !ofTPM[id] && p.Confidence != Low
		all = append(all, p)
	}
	if known {
		all = slices.DeleteFunc(all, func(p *Platform) bool { return beneath[p.ID] })
	}
	weight := map[Confidence]int{High: 0, Medium: 1, Low: 2}
	slices.SortFunc(all, func(a, b *Platform) int {
		return cmp.Or(weight[a.Confidence]-weight[b.Confidence], strings.Compare(a.ID, b.ID))
	})
	ranked := make([]Platform, len(all))
	for i, p := range all {
		ranked[i] = *p
	}
	return ranked
}

func confidence(signals []Signal) Confidence {
	kinds := map[string]bool{}
	strong := false
	for _, s := range signals {
		kind, _, _ := strings.Cut(s.Source, " ")
		kinds[kind] = true
		strong = strong || s.strong
	}
	switch {
	case strong && len(kinds) > 1:
		return High
	case strong:
		return Medium
	}
	return Low
}
