# Serves the application on Windows, after making whatever is missing: the Python environment, the dependencies
# (hashes checked), the secret, the database and its migrations. Nothing has to be set. Works from any folder and
# with Windows PowerShell 5.1. If scripts are not allowed: powershell -ExecutionPolicy Bypass -File scripts\start.ps1

$Usage = @'
Usage: scripts\start.ps1 [options]

  -p, --port PORT       port to listen on (default 8080)
  -b, --bind HOST       address to listen on (default 0.0.0.0)
  -w, --workers N       processes (default: one per usable CPU)
  -h, --help            this text

Everything else is a setting: see .env.example. Stop with Ctrl-C.
'@

function Stop-Start([int] $Code, [string] $Reason) {
    [Console]::Error.WriteLine("start.ps1: $Reason")
    exit $Code
}

function Find-Python {
    # A command line, because `py -3` is two words.
    $candidates = @(@('py', '-3'), @('python'))
    if ($env:PYTHON) { $candidates = @(, @($env:PYTHON)) + $candidates }
    foreach ($candidate in $candidates) {
        if (-not (Get-Command $candidate[0] -ErrorAction SilentlyContinue)) { continue }
        $options = @($candidate | Select-Object -Skip 1)
        & $candidate[0] @options -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>$null
        if ($LASTEXITCODE -eq 0) { return , $candidate }
    }
    Stop-Start 1 'no Python 3.11 or later was found. Install one from python.org, or name it: $env:PYTHON = "C:\path\to\python.exe"'
}

function Test-Environment {
    # An environment that was moved, or whose making was cut short, is made anew.
    if (-not (Test-Path -LiteralPath $VenvPython)) { return $false }
    if (Test-Path -LiteralPath $Stamp) { & $VenvPython -c 'pass' 2>$null | Out-Null }
    else { & $VenvPython -m pip --version 2>$null | Out-Null }
    return $LASTEXITCODE -eq 0
}

function Test-Dependencies {
    if (-not (Test-Path -LiteralPath $Stamp)) { return $false }
    return (Get-FileHash -LiteralPath 'requirements.txt').Hash -eq (Get-FileHash -LiteralPath $Stamp).Hash
}

$Names = @{ '-p' = 'PORT'; '--port' = 'PORT'; '-w' = 'WORKERS'; '--workers' = 'WORKERS'; '-b' = 'HOST'; '--bind' = 'HOST' }
for ($i = 0; $i -lt $args.Count; $i += 2) {
    $option = [string] $args[$i]
    if ($option -in '-h', '--help') { $Usage; exit 0 }
    if (-not $Names.ContainsKey($option)) { Stop-Start 2 "unknown option $option (see --help)" }
    if ($i + 1 -ge $args.Count) { Stop-Start 2 "$option needs a value (see --help)" }
    Set-Item -LiteralPath "env:$($Names[$option])" -Value ([string] $args[$i + 1])
}

Set-Location -LiteralPath (Split-Path -Parent $PSScriptRoot)
$VenvPython = '.venv\Scripts\python.exe'
$Stamp = '.venv\installed-requirements.txt'

if (-not (Test-Environment)) {
    $python = Find-Python
    [Console]::Error.WriteLine('Making .venv ...')
    if (Test-Path -LiteralPath '.venv') { Remove-Item -LiteralPath '.venv' -Recurse -Force }
    $options = @($python | Select-Object -Skip 1)
    & $python[0] @options -m venv .venv
    if ($LASTEXITCODE -ne 0) {
        if (Test-Path -LiteralPath '.venv') { Remove-Item -LiteralPath '.venv' -Recurse -Force }
        Stop-Start 1 'the environment could not be made, the reason is above. Is this folder writable and Python complete?'
    }
}

if (-not (Test-Dependencies)) {
    [Console]::Error.WriteLine('Installing requirements.txt ...')
    if (Test-Path -LiteralPath $Stamp) { Remove-Item -LiteralPath $Stamp }
    & $VenvPython -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
    if ($LASTEXITCODE -ne 0) {
        Stop-Start 1 'the dependencies could not be installed, the reason is above. Check the network, then start again.'
    }
    Copy-Item -LiteralPath 'requirements.txt' -Destination $Stamp
}

& $VenvPython -m flask --app wsgi prepare | Out-Null
if ($LASTEXITCODE -ne 0) { Stop-Start 1 'nothing was started, the reason is above. Mend it, then start again.' }

& $VenvPython wsgi.py --prepared
exit $LASTEXITCODE
