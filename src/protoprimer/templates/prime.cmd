@echo off
where /q py
if errorlevel 1 goto python
py -3 -I "%~dp0prime" %*
exit /b
:python
python -I "%~dp0prime" %*
