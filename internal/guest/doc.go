// Package guest boots a virtual machine and runs vtpmctl in it: QEMU with OVMF, swtpm and a Debian kernel, measured for
// real by firmware that is not ours. It holds tests alone, behind the build tag guest; `.ci/guest` installs what they
// need and runs them.
package guest
