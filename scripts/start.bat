@echo off
rem Serves the application on Windows, after making whatever is missing: the Python environment, the dependencies
rem (hashes checked), the secret, the database and its migrations. Nothing has to be set. Works from any folder.
rem ERRORLEVEL is compared with 0: a program that has crashed leaves a negative one, which `if errorlevel 1` takes for good.
setlocal
cd /d "%~dp0.."
set "VENV_PYTHON=.venv\Scripts\python.exe"
set "STAMP=.venv\installed-requirements.txt"

:option
if "%~1"=="" goto environment
if "%~1"=="-h" goto help
if "%~1"=="--help" goto help
set "NAME="
if "%~1"=="-p" set "NAME=PORT"
if "%~1"=="--port" set "NAME=PORT"
if "%~1"=="-w" set "NAME=WORKERS"
if "%~1"=="--workers" set "NAME=WORKERS"
if "%~1"=="-b" set "NAME=HOST"
if "%~1"=="--bind" set "NAME=HOST"
if not defined NAME (
  >&2 echo start.bat: unknown option %1 ^(see --help^)
  exit /b 2
)
if "%~2"=="" (
  >&2 echo start.bat: %1 needs a value ^(see --help^)
  exit /b 2
)
set "%NAME%=%~2"
shift
shift
goto option

:help
echo Usage: scripts\start.bat [options]
echo.
echo   -p, --port PORT       port to listen on (default 8080)
echo   -b, --bind HOST       address to listen on (default 0.0.0.0)
echo   -w, --workers N       processes (default: one per usable CPU)
echo   -h, --help            this text
echo.
echo Everything else is a setting: see .env.example. Stop with Ctrl-C.
exit /b 0

:environment
rem An environment that was moved, or whose making was cut short, does not get this far; it is made anew.
if not exist "%VENV_PYTHON%" goto make
set "PROBE=-m pip --version"
if exist "%STAMP%" set "PROBE=-c pass"
"%VENV_PYTHON%" %PROBE% >nul 2>nul
if %ERRORLEVEL% == 0 goto dependencies

:make
set "FOUND="
if defined PYTHON call :try "%PYTHON%"
if not defined FOUND call :try py -3
if not defined FOUND call :try python
if not defined FOUND (
  >&2 echo start.bat: no Python 3.11 or later was found. Install one from python.org, or name it: set PYTHON=C:\path\to\python.exe
  exit /b 1
)
>&2 echo Making .venv ...
if exist .venv rmdir /s /q .venv
%FOUND% -m venv .venv
if not %ERRORLEVEL% == 0 (
  if exist .venv rmdir /s /q .venv
  >&2 echo start.bat: the environment could not be made, the reason is above. Is this folder writable and Python complete?
  exit /b 1
)

:dependencies
"%VENV_PYTHON%" -c "import filecmp, sys; sys.exit(not filecmp.cmp('requirements.txt', sys.argv[1], False))" "%STAMP%" >nul 2>nul
if %ERRORLEVEL% == 0 goto serve
>&2 echo Installing requirements.txt ...
if exist "%STAMP%" del "%STAMP%"
"%VENV_PYTHON%" -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
if not %ERRORLEVEL% == 0 (
  >&2 echo start.bat: the dependencies could not be installed, the reason is above. Check the network, then start again.
  exit /b 1
)
copy /y requirements.txt "%STAMP%" >nul

:serve
"%VENV_PYTHON%" -m flask --app wsgi prepare >nul
if not %ERRORLEVEL% == 0 (
  >&2 echo start.bat: nothing was started, the reason is above. Mend it, then start again.
  exit /b 1
)
"%VENV_PYTHON%" wsgi.py --prepared
exit /b %ERRORLEVEL%

:try
%* -c "import sys; sys.exit(sys.version_info < (3, 11))" >nul 2>nul
if %ERRORLEVEL% == 0 set FOUND=%*
exit /b 0
