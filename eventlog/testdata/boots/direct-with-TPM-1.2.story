Secure Boot: not measured
started by: 
command line: 

Firmware
  label    firmware code or data was measured: 917504 bytes at 0x820000
  label    firmware code or data was measured: 12582912 bytes at 0x900000

Boot options
  bound    BootOrder: 0000
  bound    Boot0000: UiApp Fv(7cb8bdc9-f8eb-4f34-aaea-3ee4af6516a1)/FvFile(462caa21-7614-4503-836e-8ab6f4662331)

Boot chain
  label    a program was started: VenMedia(1428f772-b64a-441e-b8c3-9ebdd7f893c7)/kernel
  bound    firmware said: Calling EFI Application from Boot Option
  bound    firmware said: Exit Boot Services Invocation
  bound    firmware said: Exit Boot Services Returned with Success
