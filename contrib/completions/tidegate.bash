# Completion of tidegate(1) for bash.

# The limits' names, of the daemon that these options lead to; nothing when it does not answer.
_tidegate_limits() {
    "${COMP_WORDS[0]}" "$@" --json status 2>/dev/null |
        grep -o '"limits": *\[[^]]*\]' | grep -o '"limit": *"[A-Za-z0-9_.-]*"' | cut -d '"' -f 4 | sort -u
}

_tidegate() {
    local commands="status top clients domains bans ban unban explain eval reload check events help"
    local options="-c --socket --json --help --version"
    local word=${COMP_WORDS[COMP_CWORD]} previous="" command="" words=0 given=() part i

    # "--socket=PATH" comes as three words.
    [ "$word" != "=" ] || word=""
    for ((i = 1; i < COMP_CWORD; i++)); do
        part=${COMP_WORDS[i]}
        [ "$part" != "=" ] || continue
        case $previous in
        -c | --socket)
            given+=("$previous" "$part")
            previous=""
            continue
            ;;
        esac
        previous=$part
        case $part in
        -*) ;;
        *)
            if [ -n "$command" ]; then words=$((words + 1)); else command=$part; fi
            ;;
        esac
    done

    COMPREPLY=()
    case $previous in
    -c | --socket)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    --limit)
        mapfile -t COMPREPLY < <(compgen -W "$(_tidegate_limits "${given[@]}") ban" -- "$word")
        return
        ;;
    --sort)
        case $command in
        clients) mapfile -t COMPREPLY < <(compgen -W "sessions connections messages refused monitored" -- "$word") ;;
        domains) mapfile -t COMPREPLY < <(compgen -W "messages refused monitored" -- "$word") ;;
        esac
        return
        ;;
    -n | --count | --since | --listen | --daemon-name)
        return
        ;;
    esac

    case $command in
    '') options="$options $commands" ;;
    clients | domains) options="$options --sort --count -n" ;;
    bans) options="$options --limit --count -n" ;;
    ban) [ "$words" -ne 1 ] || options="$options for" ;;
    unban) options="$options --limit --since" ;;
    explain | eval) options="$options --listen --daemon-name" ;;
    check)
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word"; compgen -f -- "$word")
        return
        ;;
    help) options="$options $commands" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}

complete -o filenames -F _tidegate tidegate
