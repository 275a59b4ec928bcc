# Completion of pi-brain for fish.

function __pi_brain_spokes
    # With the configuration that is on the line already, if any.
    set -l words (commandline -opc)
    set -l config
    for i in (seq (count $words))
        if contains -- $words[$i] -c --config; and test $i -lt (count $words)
            set config -c (string replace -r '^~' $HOME -- $words[(math $i + 1)])
        else if string match -q -- '--config=*' $words[$i]
            set config -c (string replace -r '^--config=' '' -- $words[$i] | string replace -r '^~' $HOME)
        end
    end
    $words[1] sync list --names $config 2>/dev/null
end

function __pi_brain_words
    # The words so far, without --config, which can stand before the command.
    set -l words (commandline -opc)
    set -l is_config no
    for word in $words[2..-1]
        if test $is_config = yes
            set is_config no
        else if contains -- $word -c --config
            set is_config yes
        else if not string match -q -- '--config=*' $word
            printf '%s\n' $word
        end
    end
end

function __pi_brain_needs
    # Whether the words so far, but for options, are these.
    set -l words (__pi_brain_words | string match -v -- '-*')
    test "$words" = "$argv"
end

function __pi_brain_in
    # Whether the words so far begin with these.
    set -l words (__pi_brain_words)
    test "$words[1..$(count $argv)]" = "$argv"
end

complete -c pi-brain -f
complete -c pi-brain -n '__pi_brain_needs' -a sync -d 'Mirror sessions from other machines'
complete -c pi-brain -n '__pi_brain_needs' -a spoke -d 'Set up the machines that sessions come from'
complete -c pi-brain -n '__pi_brain_needs' -a daemon -d 'Keep the mirrors up to date all the time'
complete -c pi-brain -n '__pi_brain_needs' -a health -d 'Check the way to each spoke'
complete -c pi-brain -n '__pi_brain_needs' -a help -d 'Show the help of a command'
complete -c pi-brain -n '__pi_brain_needs' -a version -d 'Show the version'
complete -c pi-brain -n '__pi_brain_needs' -s V -l version
for group in '' sync spoke
    complete -c pi-brain -n "__pi_brain_needs $group" -s c -l config -r -F -d 'The config file'
end
complete -c pi-brain -n '__pi_brain_needs help' -a 'sync spoke daemon health'
complete -c pi-brain -n '__pi_brain_in health' -s c -l config -r -F -d 'The config file'
complete -c pi-brain -n '__pi_brain_in health' -s s -l spoke -x -a '(__pi_brain_spokes)' -d 'Only this spoke'
complete -c pi-brain -n '__pi_brain_in health' -l json -d 'Print JSON'
complete -c pi-brain -n '__pi_brain_in health' -a '(__pi_brain_spokes)'
for command in run flush watch status history list verify doctor 'archive list'
    complete -c pi-brain -n "__pi_brain_in sync $command" -a '(__pi_brain_spokes)'
end
for pair in 'add|Make a machine a spoke' 'upgrade|Put the agent of this version on spokes' \
        'rotate-key|Give a spoke a new key' 'rename|Give a spoke another name' 'enable|Let runs sync spokes again' \
        'disable|Leave spokes out of runs' 'remove|Remove agent and key from a spoke, and it from here' 'list|Show the spokes'
    set -l parts (string split '|' -- $pair)
    complete -c pi-brain -n '__pi_brain_needs spoke' -a $parts[1] -d $parts[2]
end
for pair in 'run|Bring the mirrors up to date' 'status|Show the hub, its spokes and their last sync' \
        'history|Show what the latest runs did, and each hour of live mode' 'list|List the sessions in the mirrors' \
        'flush|Return when all that the spokes have now is in the mirrors' \
        'watch|Mirror changes as they happen' \
        'verify|Compare the mirrors with the spokes by content' 'doctor|Check the way to each spoke' \
        'archive|What was there before a sync overwrote or deleted it' \
        'install-timer|Have systemd start a run now and then' 'uninstall-timer|Remove what install-timer put there'
    set -l parts (string split '|' -- $pair)
    complete -c pi-brain -n '__pi_brain_needs sync' -a $parts[1] -d $parts[2]
end
for pair in 'run|Do so in the foreground, until Ctrl-C' 'start|Start it in the background' 'stop|End it' \
        'restart|End it, and start it again' 'status|Show what it does for each spoke' 'install|Let systemd start it' \
        'uninstall|Stop it, and remove what install wrote'
    set -l parts (string split '|' -- $pair)
    complete -c pi-brain -n '__pi_brain_needs daemon' -a $parts[1] -d $parts[2]
end
for command in run start stop restart status install
    complete -c pi-brain -n "__pi_brain_in daemon $command" -s c -l config -r -F -d 'The config file'
end
for command in run start restart
    complete -c pi-brain -n "__pi_brain_in daemon $command" -l log -r -F -d 'Where it writes what happens'
end
complete -c pi-brain -n '__pi_brain_in daemon status' -l json -d 'Print JSON'
complete -c pi-brain -n '__pi_brain_needs sync archive' -a list -d 'List the files in the archive'
complete -c pi-brain -n '__pi_brain_needs sync archive' -a restore -d 'Bring files back'

for command in run flush watch status history list verify doctor install-timer 'archive list' 'archive restore'
    complete -c pi-brain -n "__pi_brain_in sync $command" -s c -l config -r -F -d 'The config file'
end
for command in run flush watch status history list verify doctor 'archive list' 'archive restore'
    complete -c pi-brain -n "__pi_brain_in sync $command" -s s -l spoke -x -a '(__pi_brain_spokes)' -d 'Only this spoke'
end
for command in run flush watch status history list verify doctor 'archive list' 'archive restore'
    complete -c pi-brain -n "__pi_brain_in sync $command" -l json -d 'Print JSON'
end
complete -c pi-brain -n '__pi_brain_in sync run' -s n -l dry-run -d 'Show what would be done'
complete -c pi-brain -n '__pi_brain_in sync run' -l delete -d 'Archive what is gone on the spoke'
complete -c pi-brain -n '__pi_brain_in sync run' -l max-delete -x -d 'Let --delete remove this many'
complete -c pi-brain -n '__pi_brain_in sync run' -l bwlimit -x -d 'KB/s for all spokes together'
complete -c pi-brain -n '__pi_brain_in sync run' -l jobs -x -d 'Spokes at a time'
complete -c pi-brain -n '__pi_brain_in sync run' -l due -d 'Only the spokes that are due'
complete -c pi-brain -n '__pi_brain_in sync run' -l wait -d 'Wait for a run that has a spoke'
complete -c pi-brain -n '__pi_brain_in sync run' -s v -l verbose -d 'List the files that changed'
complete -c pi-brain -n '__pi_brain_in sync run' -s q -l quiet -d 'Print only what failed'
complete -c pi-brain -n '__pi_brain_in sync run' -l log -r -F -d 'Append to this file'
complete -c pi-brain -n '__pi_brain_in sync status' -s l -l long -d 'Show all that is known'
complete -c pi-brain -n '__pi_brain_in sync status' -l prometheus -d 'Print metrics'
complete -c pi-brain -n '__pi_brain_in sync history' -s n -l limit -x -d 'Show so many'
complete -c pi-brain -n '__pi_brain_in sync list' -s l -l long -d 'Show project, first words and full path'
complete -c pi-brain -n '__pi_brain_in sync list' -l since -x -a '1h 1d 7d 30d' -d 'Only what changed within this time'
complete -c pi-brain -n '__pi_brain_in sync list' -l project -x -d 'Only of projects with this in their name'
complete -c pi-brain -n '__pi_brain_in sync list' -l names -d 'Only the names of the spokes'
complete -c pi-brain -n '__pi_brain_in sync verify' -l repair -d 'Fetch what differs'
complete -c pi-brain -n '__pi_brain_in sync install-timer' -l every -x -a '5min 15min 1h 1d' -d 'How often'
complete -c pi-brain -n '__pi_brain_in sync install-timer' -l due -d 'Only the spokes that are due'
complete -c pi-brain -n '__pi_brain_in sync archive restore' -l run -x -d 'Only what this run archived'
complete -c pi-brain -n '__pi_brain_in sync archive restore' -l to -r -F -d 'Where to put it'
complete -c pi-brain -n '__pi_brain_in sync archive restore' -s n -l dry-run -d 'Show what would be restored'

for command in add upgrade rotate-key rename enable disable remove list
    complete -c pi-brain -n "__pi_brain_in spoke $command" -s c -l config -r -F -d 'The config file'
    complete -c pi-brain -n "__pi_brain_in spoke $command" -l json -d 'Print JSON'
end
for command in add upgrade rotate-key remove
    complete -c pi-brain -n "__pi_brain_in spoke $command" -l batch -d 'Ask for no password'
end
for command in add upgrade rotate-key rename enable disable remove
    complete -c pi-brain -n "__pi_brain_in spoke $command" -s n -l dry-run -d 'Show what would be done'
end
for command in rename enable disable
    complete -c pi-brain -n "__pi_brain_in spoke $command" -a '(__pi_brain_spokes)'
end
for command in add upgrade rotate-key
    complete -c pi-brain -n "__pi_brain_in spoke $command" -l agents -r -F -d 'Where the agents are'
end
for command in upgrade rotate-key remove
    complete -c pi-brain -n "__pi_brain_in spoke $command" -l via -x -d 'Your own login there'
    complete -c pi-brain -n "__pi_brain_in spoke $command" -a '(__pi_brain_spokes)'
end
complete -c pi-brain -n '__pi_brain_in spoke add' -s p -l port -x -d 'The port of its SSH server'
complete -c pi-brain -n '__pi_brain_in spoke add' -l root -x -d 'Its sessions'
complete -c pi-brain -n '__pi_brain_in spoke add' -l path -r -F -d 'The mirror here'
complete -c pi-brain -n '__pi_brain_in spoke add' -l key -r -F -d 'The key for syncing'
complete -c pi-brain -n '__pi_brain_in spoke add' -l from -x -d 'Only from these addresses'
complete -c pi-brain -n '__pi_brain_in spoke add' -l exclude -x -d 'What must not be served'
complete -c pi-brain -n '__pi_brain_in spoke add' -l drop-filters -d 'Drop the filters of rsync'
complete -c pi-brain -n '__pi_brain_in spoke upgrade' -l all -d 'All of them'
complete -c pi-brain -n '__pi_brain_in spoke remove' -l keep-mirror -d 'Leave the mirror where it is'
complete -c pi-brain -n '__pi_brain_in spoke remove' -l force -d 'Even if it cannot be reached'
