# Serves the application on Windows: what start.bat does, for those who have PowerShell open. Everything happens there.
# If scripts are not allowed: powershell -ExecutionPolicy Bypass -File scripts\start.ps1

& "$PSScriptRoot\start.bat" @args
exit $LASTEXITCODE
