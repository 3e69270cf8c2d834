#!/bin/busybox sh
# The guest's first and only process: runs each step of /steps in order, gathers what it printed and its exit status in
# /out, sends /out over the second serial port as a tar file, and powers off. The world is as bare as an early boot
# script's: no HOME, no terminal, no input.
/bin/busybox --install -s /bin
export PATH=/bin
mkdir -p /proc /sys /dev /out /tmp
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
mount -t securityfs none /sys/kernel/security

# The kernel's own reading of every PCR, to compare ours with.
grep -H . /sys/class/tpm/tpm0/pcr-*/* | sed 's|.*/pcr-\(.*\)/\(.*\):|\1 \2 |' >/out/kernel-pcrs
cp /sys/kernel/security/tpm0/binary_bios_measurements /out/eventlog
cp /sys/kernel/security/ima/binary_runtime_measurements /out/ima
cp /proc/cmdline /out/cmdline

for step in /steps/*; do
	[ -f "$step" ] || continue
	name=${step##*/[0-9][0-9]-}
	echo "step $name" >/dev/ttyS0
	sh "$step" </dev/null >"/out/$name.stdout" 2>"/out/$name.stderr"
	echo $? >"/out/$name.exit"
done

# The firmware has printed there too, so a mark goes ahead.
stty -F /dev/ttyS1 raw
{ echo RESULTS; tar -c -C /out .; } >/dev/ttyS1
poweroff -f
