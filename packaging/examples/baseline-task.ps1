# Compares each start of Windows with a baseline, and tells the event log when it differs.
#   baseline-task.ps1 -Register   once, elevated, on a machine that is known to be good: makes the baseline and the task
#   baseline-task.ps1             what the task runs: exit status 0 trusted, 7 exception, 5 unmeasured
# After a planned change: vtpmctl baseline accept 4 --reason "update" --file C:\ProgramData\vtpmctl\baseline.json
# Works in Windows PowerShell 5.1 and PowerShell 7.
param([switch]$Register)

$folder = "$env:ProgramData\vtpmctl"
$file = Join-Path $folder 'baseline.json'
if ($Register) {
    # Users may read the baseline; only administrators and the system may change it.
    New-Item -ItemType Directory -Force -Path $folder | Out-Null
    icacls $folder /inheritance:r /grant '*S-1-5-18:(OI)(CI)F' '*S-1-5-32-544:(OI)(CI)F' '*S-1-5-32-545:(OI)(CI)R' | Out-Null
    vtpmctl baseline create --file $file --require-tpm
    if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
    $action = New-ScheduledTaskAction -Execute 'powershell.exe' -Argument "-NoProfile -ExecutionPolicy Bypass -File `"$PSCommandPath`""
    $trigger = New-ScheduledTaskTrigger -AtStartup
    Register-ScheduledTask -TaskName 'Measured baseline' -Action $action -Trigger $trigger -User 'SYSTEM' -RunLevel Highest -Force | Out-Null
    exit 0
}
$text = vtpmctl baseline check --file $file --require-tpm -o json
$status = $LASTEXITCODE
if ($status -ne 0 -and $text) {
    $verdict = $text | ConvertFrom-Json
    $words = @($verdict.pcrs | ForEach-Object { $_.changes } | ForEach-Object { "$($_.id) $($_.kind) $($_.type)" }) -join "`n"
    eventcreate /L APPLICATION /T WARNING /SO MeasuredBaseline /ID $status /D "$($verdict.state) $words" | Out-Null
}
exit $status
