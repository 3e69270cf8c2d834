package host

// Boot names the boot that this machine runs in: another name is another boot. "" when the system does not tell.
func (h Host) Boot() string {
	if h.boot != nil {
		return h.boot()
	}
	return h.Text("proc/sys/kernel/random/boot_id")
}
