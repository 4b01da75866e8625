# shellcheck shell=sh
# What an entry script runs where nothing has changed since the environment was made. Only builtins: a process for each
# file would take longer than Python. Shells differ on what `-nt` and `-ot` say of a missing file, so that is asked first.
protoprimer_same() { [ -e "$1" ] && [ -f "$2" ] && ! [ "$1" -nt "$2" ] && ! [ "$1" -ot "$2" ]; }
protoprimer_input() { [ -f "$1" ] && [ "$protoprimer_ready" -nt "$1" ]; }
protoprimer_absent() { ! [ -e "$1" ] && ! [ -h "$1" ]; }
protoprimer_boot() {
    IFS= read -r protoprimer_rest < /proc/sys/kernel/random/boot_id && [ "$protoprimer_rest" = "$1" ]
}

# As in an activated environment: its programs first on PATH, nothing of another one.
protoprimer_activate() {
    protoprimer_rest=${PATH-/bin:/usr/bin}
    # PATH itself changes last: to a shell in POSIX mode, `[` is a builtin only while a program of that name is on it.
    protoprimer_kept=$protoprimer_programs
    [ -z "$protoprimer_rest" ] || protoprimer_rest=$protoprimer_rest:
    while [ -n "$protoprimer_rest" ]; do
        case ${protoprimer_rest%%:*} in
            "$protoprimer_programs" | "${VIRTUAL_ENV:-/}/bin") ;;
            *) protoprimer_kept=$protoprimer_kept:${protoprimer_rest%%:*} ;;
        esac
        protoprimer_rest=${protoprimer_rest#*:}
    done
    export PATH="$protoprimer_kept" VIRTUAL_ENV="$protoprimer_environment"
    unset PYTHONHOME PYTHONPATH PYTHONEXECUTABLE __PYVENV_LAUNCHER__ VIRTUAL_ENV_PROMPT
}

# Becomes the program of the environment whose name comes first; a name that it lacks is for the kernel to judge.
protoprimer_run() {
    case $1 in '' | -* | */* | . | ..) return 0 ;; esac
    protoprimer_command=$protoprimer_programs/$1
    if [ -f "$protoprimer_command" ] && [ -x "$protoprimer_command" ]; then
        shift
        protoprimer_activate
        protoprimer_forget
        exec "$protoprimer_command" "$@"
    fi
}

# Becomes the client's function. The interpreter is isolated, so flags say what variables would have said.
protoprimer_launch() {
    protoprimer_activate
    set -- "$protoprimer_launcher" "$protoprimer_kind" "$protoprimer_main" "$protoprimer_script" "$@"
    case ${PYTHONOPTIMIZE:-0} in 0) ;; [2-9]* | 1[0-9]*) set -- -OO "$@" ;; *) set -- -O "$@" ;; esac
    protoprimer_rest=,${PYTHONWARNINGS-}
    while [ -n "$protoprimer_rest" ]; do
        [ -z "${protoprimer_rest##*,}" ] || set -- "-W${protoprimer_rest##*,}" "$@"
        protoprimer_rest=${protoprimer_rest%,*}
    done
    case ${PYTHONDONTWRITEBYTECODE:-0} in 0) ;; *) set -- -B "$@" ;; esac
    case ${PYTHONUNBUFFERED:-0} in 0) ;; *) set -- -u "$@" ;; esac
    export PROTOPRIMER_READY="$protoprimer_environment" PROTOPRIMER_PATH="$protoprimer_path"
    exec "$protoprimer_python" -I "$@"
}

# What entry scripts call. It returns where the kernel has to look: something changed, or there is more to do than this.
protoprimer_start() {
    protoprimer_is_fresh || return 0
    case $protoprimer_kind,$#,${1-} in
        run,* | start,*) protoprimer_launch "$@" ;;
        boot,0, | boot,1,boot)
            [ -n "$protoprimer_main" ] || exit 0
            protoprimer_launch
            ;;
        boot,*,run)
            [ "${2-}" = -- ] && [ $# -gt 2 ] || return 0
            shift 2
            protoprimer_run "$@"
            ;;
    esac
}
