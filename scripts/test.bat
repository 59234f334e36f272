@echo off
rem Runs the unit and feature tests with the packages for tests put into .venv: what scripts/test.sh --fast does elsewhere.
setlocal
cd /d "%~dp0.."
if not defined PYTHON set "PYTHON=python"
if not exist .venv\Scripts\python.exe "%PYTHON%" -m venv .venv
.venv\Scripts\python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt -r requirements-dev.txt
if not %ERRORLEVEL% == 0 exit /b 1
.venv\Scripts\python -m pytest tests\unit tests\features -q -n auto
exit /b %ERRORLEVEL%
