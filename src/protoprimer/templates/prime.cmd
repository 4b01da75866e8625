@echo off
where /q py && (py -3 -I "%~dp0prime" %* & goto :end)
python -I "%~dp0prime" %*
:end
