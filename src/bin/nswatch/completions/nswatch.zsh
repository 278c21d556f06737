# Completes names and the next type of a list, which only the running shell knows.
_nswatch_names() {
    local -a places names
    local expl i
    for (( i = 2; i < CURRENT; i++ )); do
        case $words[i] in
        --dir) places+=(${(Q)words[i + 1]}) ;;
        --dir=*) places+=(${(Q)words[i]#--dir=}) ;;
        esac
    done
    (( $#places )) || places=(/run/netns)
    names=(${^places}/*(DN:t))
    if [[ $PREFIX == */* ]]; then
        _files
    else
        _wanted names expl 'name of a network namespace' compadd -a names
    fi
}

_nswatch_events() {
    _values -s , 'event' \
@EVENTS@
}

