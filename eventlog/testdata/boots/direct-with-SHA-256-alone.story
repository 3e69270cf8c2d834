Secure Boot: off
started by: Linux EFI stub
command line: 

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
  bound    BootOrder: 0000
  bound    Boot0000: UiApp Fv(7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1)/FvFile(462caa21-7614-4503-836e-8ab6f4662331)

Boot chain
  label    a program was started: VenMedia(1428f772-b64a-441e-b8c3-9ebdd7f893c7)/kernel
  bound    firmware said: Calling EFI Application from Boot Option
  bound    firmware said: Exit Boot Services Invocation
  bound    firmware said: Exit Boot Services Returned with Success

Linux
  label    Linux EFI stub: command line was measured
  label    Linux EFI stub: initrd was measured
