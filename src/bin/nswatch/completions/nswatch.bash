
# Completes names, the next type of a list, and the words after `--` of exec, which only the running shell knows.
_nswatch_here() {
    local cur=$2 prev=$3 subcommand=${COMP_WORDS[1]-} dirs=() i next
    # bash splits `--name=b` into three words
    if [[ $cur == = ]]; then
        cur=''
    elif [[ $prev == = ]]; then
        prev=${COMP_WORDS[COMP_CWORD - 2]}
    fi
    COMPREPLY=()
    for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --)
            [[ $subcommand != exec ]] || { _nswatch_command $((i + 1)); return; }
            ;;
        --dir)
            next=${COMP_WORDS[i + 1]}
            [[ $next != = ]] || next=${COMP_WORDS[i + 2]}
            dirs+=("$next")
            ;;
        esac
    done
    case "$subcommand $prev" in
    'wait --timeout' | *' --dir') _nswatch "$1" "$cur" "$prev" ;;
    'watch --on' | 'exec --on') _nswatch_events ;;
    'watch --name' | 'id --name' | 'id --assign') _nswatch_names ;;
    'wait '* | 'show '*)
        if [[ $cur == -* ]]; then _nswatch "$1" "$cur" "$prev"; else _nswatch_names; fi
        ;;
    *) _nswatch "$1" "$cur" "$prev" ;;
    esac
}

# Others choose the bytes of names: nothing here expands them. Without a match, bash offers files.
_nswatch_names() {
    local dir path name quoted
    [[ ${#dirs[@]} != 0 ]] || dirs=(/run/netns)
    for dir in "${dirs[@]}"; do
        for path in "$dir"/*; do
            name=${path##*/}
            printf -v quoted %q "$name"
            if [[ -e $path || -L $path ]] && [[ $name == "$cur"* || $quoted == "$cur"* ]]; then
                COMPREPLY+=("$quoted")
            fi
        done
    done
}

_nswatch_events() {
    local before='' event
    [[ $cur != *,* ]] || before=${cur%,*},
    for event in @EVENTS@; do
        if [[ ,$before != *",$event,"* && $before$event == "$cur"* ]]; then
            COMPREPLY+=("$before$event")
        fi
    done
}

# Completes the nested command that begins at this word.
_nswatch_command() {
    if declare -F _comp_command_offset > /dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset > /dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        mapfile -t COMPREPLY < <(compgen -c -- "$cur")
    else
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}

complete -F _nswatch_here -o nosort -o bashdefault -o default nswatch
