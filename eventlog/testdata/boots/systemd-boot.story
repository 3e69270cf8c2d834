Secure Boot: off
started by: systemd-boot, systemd-stub, Linux EFI stub
command line: console=ttyS0 quiet panic=-1 no_timer_check

Firmware
  label    firmware code or data was measured: 917504 bytes at 0x820000
  label    firmware code or data was measured: 12582912 bytes at 0x900000

Secure Boot
  bound    Secure Boot is off
  bound    PK, the owner's key, holds nothing
  bound    KEK, whose keys may change the lists, holds nothing
  bound    db, the list of what may run, holds nothing
  bound    dbx, the list of what may not run, holds nothing

Boot options
  bound    BootOrder: 0000 0001 0002
  bound    Boot0000: UiApp Fv(7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1)/FvFile(462caa21-7614-4503-836e-8ab6f4662331)
  bound    Boot0001: UEFI Misc Device PciRoot(0x0)/Pci(0x1,0x0)
  bound    Boot0002: EFI Internal Shell Fv(7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1)/FvFile(7c04a583-9e3e-4f1c-ad65-e05268d0b4d1)

Boot chain
  bound    firmware said: Calling EFI Application from Boot Option
  bound    booted from disk 8f6c2f1e-52a7-4c0e-9d3b-6f1a0c5e7d21 with 1 partition: ESP
  label    a program was started: PciRoot(0x0)/Pci(0x1,0x0)/HD(1,GPT,2b7e1516-28ae-4d2a-abf7-158809cf4f3c,0x800,0x31000)/\EFI\BOOT\BOOTX64.EFI
  label    a program was started: PciRoot(0x0)/Pci(0x1,0x0)/HD(1,GPT,2b7e1516-28ae-4d2a-abf7-158809cf4f3c,0x800,0x31000)/\EFI\Linux\linux.efi
  label    a program was started: VenMedia(55c5d1f8-04cd-46b5-8a20-e56cbb3052d0)
  bound    firmware said: Exit Boot Services Invocation
  bound    firmware said: Exit Boot Services Returned with Success

Linux
  bound    command line from the boot loader: console=ttyS0 quiet panic=-1 no_timer_check
  bound    the unified kernel image has a section .linux
  label    the content of section .linux was measured
  bound    the unified kernel image has a section .osrel
  label    the content of section .osrel was measured
  bound    the unified kernel image has a section .cmdline
  label    the content of section .cmdline was measured
  bound    the unified kernel image has a section .initrd
  label    the content of section .initrd was measured
  label    Linux EFI stub: command line was measured
  label    Linux EFI stub: initrd was measured
