#!/bin/sh
""":" # Entry script of app.cli:main, written by protoprimer. sh reads down to `exit`; to Python that is one string.
protoprimer_kind=run protoprimer_main=app.cli:main protoprimer_ready=
[ -z "${ZSH_VERSION-}" ] || emulate sh; case $0 in */*) protoprimer_script=$0 ;; *) protoprimer_script=./$0 ;; esac
[ -f "$protoprimer_script" ] || protoprimer_script=$(command -v -- "$0"); protoprimer_start() { :; }
[ . -ef "${PWD-}" ] || [ -z "${0%%/*}" ] || { echo "error: this directory is gone" >&2; exit 3; }
[ -h "$protoprimer_script" ] || protoprimer_ready=${protoprimer_script%/*}/.protoprimer/ready
{ read -r protoprimer_top < "$protoprimer_ready"; } 2> /dev/null && [ "$protoprimer_top" = '# protoprimer ready 2' ] &&
    command . "$protoprimer_ready" 2> /dev/null && protoprimer_start "$@"
set -f; IFS=: # Not ready: the first Python on PATH that starts and is new enough takes over; shims come last.
for protoprimer_version in 3 3.18 3.17 3.16 3.15 3.14 3.13 3.12 3.11 3.10 3.9 3.8 3.7 3.6 ''; do
    for protoprimer_directory in ${PATH-}; do protoprimer_py=$protoprimer_directory/python$protoprimer_version
        case $protoprimer_py in */shims/python) protoprimer_py=${protoprimer_py}3 ;; */shims/* | [!/]*) continue ;; esac
        "$protoprimer_py" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 6))' > /dev/null 2>&1 &&
            exec "$protoprimer_py" -I -S "$protoprimer_script" "$@"; done; done
echo "error: no Python 3.6 or newer is on PATH; install one" >&2; exit 4 # """
