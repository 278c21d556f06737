
# Completes names, the next type of a list, and the words after `--` of exec, which only the running shell knows.
function __fish_nswatch_names
    set -l words (commandline -opc)
    set -l dirs
    for i in (seq (count $words))
        switch $words[$i]
            case --dir
                set -a dirs $words[(math $i + 1)]
            case '--dir=*'
                set -a dirs (string replace -- --dir= '' $words[$i])
        end
    end
    set -q dirs[1]; or set dirs /run/netns
    for dir in $dirs
        for path in $dir/*
            # in a line, the text after a tab is a description
            string match -qr '[\n\t]' -- $path; or string replace -r '.*/' '' -- $path
        end
    end
end

function __fish_nswatch_events
    set -l before (string match -r '.*,' -- (commandline -ct | string replace -r '^--on=' ''))
    for event in @EVENTS@
        string match -q -- "*,$event,*" ",$before"; or echo "$before$event"
    end
end

function __fish_nswatch_after_dashes
    __fish_nswatch_using_subcommand exec; and contains -- -- (commandline -opc)
end

function __fish_nswatch_command
    set -l words (commandline -opc)
    set -l after (math (contains -i -- -- $words) + 1)
    complete -C "$(string join ' ' -- (string escape -- $words[$after..-1]) (commandline -ct))"
end

complete -c nswatch -n "__fish_nswatch_using_subcommand watch" -l name -x -a "(__fish_nswatch_names)"
complete -c nswatch -n "__fish_nswatch_using_subcommand id" -l name -r -a "(__fish_nswatch_names)"
complete -c nswatch -n "__fish_nswatch_using_subcommand id" -l assign -r -a "(__fish_nswatch_names)"
complete -c nswatch -n "__fish_nswatch_using_subcommand wait show" -a "(__fish_nswatch_names)"
complete -c nswatch -n "__fish_nswatch_using_subcommand watch exec" -l on -x -a "(__fish_nswatch_events)"
complete -c nswatch -n __fish_nswatch_after_dashes -x -a "(__fish_nswatch_command)"
