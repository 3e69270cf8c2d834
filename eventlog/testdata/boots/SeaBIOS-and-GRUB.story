Secure Boot: not measured
started by: seabios
command line: 

Firmware
  bound    the firmware measured: SMBIOS tables
  bound    the firmware measured: option ROM

Boot chain
  bound    firmware said: Start Option ROM Scan
  bound    firmware said: Calling INT 19h
  bound    firmware said: Booting BCV device 80h (HDD)
  label    seabios mbr: MBR
