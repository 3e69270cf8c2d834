# Tells, before a restart, whether the PCRs that BitLocker commonly uses are still those of the last good boot.
#   measured-state.ps1 -Save C:\ProgramData\pcrs.json     once, after a good boot
#   measured-state.ps1 -Compare C:\ProgramData\pcrs.json  later; exit status 0: equal, 7: they differ
# Run it elevated: Windows lets only administrators reach the TPM. Works in Windows PowerShell 5.1 and PowerShell 7.
param([string]$Save, [string]$Compare)

if ($Save) {
    vtpmctl pcr read 'sha256:0,2,4,7,11' -o json --require-tpm | Set-Content -Encoding Ascii -Path $Save
    exit $LASTEXITCODE
}
$verdict = vtpmctl pcr compare $Compare -o json --require-tpm | ConvertFrom-Json
$status = $LASTEXITCODE
if ($status -eq 7) { $verdict | ConvertTo-Json -Depth 8 }
exit $status
