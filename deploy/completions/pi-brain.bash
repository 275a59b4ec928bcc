# Completion of pi-brain for bash.

_pi_brain_spokes() {
  # With the configuration that is on the line already, if any.
  local i value config=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      -c | --config)
        # bash makes three words of --config=FILE.
        value=${COMP_WORDS[i + 1]}
        [[ $value == '=' ]] && value=${COMP_WORDS[i + 2]}
        config=(-c "${value/#\~/$HOME}")
        ;;
    esac
  done
  "${COMP_WORDS[0]}" sync list --names "${config[@]}" 2>/dev/null
}

# Not by compgen -W, which expands what it is given.
_pi_brain_offer_spokes() {
  local name
  while IFS= read -r name; do
    [[ $name == "$1"* ]] && COMPREPLY+=("$(printf %q "$name")")
  done < <(_pi_brain_spokes)
}

_pi_brain() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  # What is before the current word, without --config, which can stand before the command.
  local words=() i
  for ((i = 0; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      -c | --config)
        ((i++))
        [[ ${COMP_WORDS[i]} == '=' ]] && ((i++))
        ;;
      *) words+=("${COMP_WORDS[i]}") ;;
    esac
  done
  local at=${#words[@]} group=${words[1]} command=${words[2]} archive=${words[3]}
  local options
  COMPREPLY=()
  if [[ $current == '=' ]]; then
    current=  # and previous is the option
  elif [[ $previous == '=' ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  case $previous in
    -s | --spoke)
      _pi_brain_offer_spokes "$current"
      return
      ;;
    -c | --config | --log | --to | --path | --key | --agents)
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      compopt -o filenames 2>/dev/null
      return
      ;;
    --every)
      mapfile -t COMPREPLY < <(compgen -W '5min 15min 1h 1d' -- "$current")
      return
      ;;
    --since)
      mapfile -t COMPREPLY < <(compgen -W '1h 1d 7d 30d' -- "$current")
      return
      ;;
    --max-delete | --bwlimit | --jobs | --limit | --root | --from | --via | --project | --run | -p | --port | --exclude) return ;;
    -n)
      # A number for history; everywhere else it is --dry-run, which takes none.
      [[ $command == history ]] && return
      ;;
  esac
  if ((at == 1)); then
    options='sync spoke daemon health help version --config --help --version'
  elif [[ $group == health ]]; then
    [[ $current == -* ]] || _pi_brain_offer_spokes "$current"
    ((${#COMPREPLY[@]} == 0)) || return
    options='--config --spoke --json --help'
  elif [[ $group == help ]]; then
    options='sync spoke daemon health --help'
  elif [[ $group == version ]]; then
    options='--help'
  elif ((at == 2)) && [[ $group == spoke ]]; then
    options='add upgrade rotate-key rename enable disable remove list --config --help'
  elif ((at == 2)) && [[ $group == daemon ]]; then
    options='run start stop restart status install uninstall --help'
  elif ((at == 2)); then
    options='run flush watch status history list verify doctor archive install-timer uninstall-timer --config --help'
  elif ((at == 3)) && [[ $group == sync && $command == archive ]]; then
    options='list restore --help'
  elif [[ $group == daemon ]]; then
    case $command in
      run | start | restart) options='--config --log --help' ;;
      stop | install) options='--config --help' ;;
      uninstall) options='--help' ;;
      status) options='--config --json --help' ;;
    esac
  elif [[ $group == spoke ]]; then
    case $command in
      upgrade | rotate-key | rename | enable | disable | remove) [[ $current == -* ]] || _pi_brain_offer_spokes "$current" ;;
    esac
    local shared='--config --batch --dry-run --json'
    case $command in
      add) options="$shared --agents --port --root --path --key --from --exclude --drop-filters --help" ;;
      upgrade) options="$shared --agents --via --all --help" ;;
      rotate-key) options="$shared --agents --via --help" ;;
      remove) options="$shared --via --keep-mirror --force --help" ;;
      rename | enable | disable) options='--config --dry-run --json --help' ;;
      list) options='--config --json --help' ;;
    esac
    ((${#COMPREPLY[@]} == 0)) || return
  else
    case "$command $archive" in
      'run '* | 'flush '* | 'watch '* | 'status '* | 'history '* | 'list '* | 'verify '* | 'doctor '* | 'archive list')
        [[ $current == -* ]] || _pi_brain_offer_spokes "$current"
        ;;
    esac
    ((${#COMPREPLY[@]} == 0)) || return
    case $command in
      run) options='--config --spoke --dry-run --delete --max-delete --bwlimit --jobs --due --wait --verbose --quiet --log --json' ;;
      status) options='--config --spoke --long --json --prometheus' ;;
      history) options='--config --spoke --limit --json' ;;
      list) options='--config --spoke --since --project --long --names --json' ;;
      flush | watch) options='--config --spoke --json' ;;
      verify) options='--config --spoke --repair --json' ;;
      doctor) options='--config --spoke --json' ;;
      install-timer) options='--config --every --due' ;;
      archive)
        case $archive in
          list) options='--config --spoke --json' ;;
          restore) options='--config --spoke --run --to --dry-run --json' ;;
        esac
        ;;
    esac
    options="$options --help"
  fi
  mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
}

complete -F _pi_brain pi-brain
