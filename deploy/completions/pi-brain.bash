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

_pi_brain() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local command=${COMP_WORDS[2]} archive=${COMP_WORDS[3]}
  local options
  COMPREPLY=()
  if [[ $current == '=' ]]; then
    current=  # and previous is the option
  elif [[ $previous == '=' ]]; then
    previous=${COMP_WORDS[COMP_CWORD - 2]}
  fi
  case $previous in
    -s | --spoke)
      # Not by compgen -W, which expands what it is given.
      local name
      while IFS= read -r name; do
        [[ $name == "$current"* ]] && COMPREPLY+=("$(printf %q "$name")")
      done < <(_pi_brain_spokes)
      return
      ;;
    -c | --config | --log | --to)
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      compopt -o filenames 2>/dev/null
      return
      ;;
    --every)
      mapfile -t COMPREPLY < <(compgen -W '5min 15min 1h 1d' -- "$current")
      return
      ;;
    --max-delete | --bwlimit | --jobs | -n | --limit)
      # A number; but run's -n is --dry-run, which takes none.
      [[ $previous == -n && $command == run ]] || return
      ;;
  esac
  if ((COMP_CWORD == 1)); then
    options='sync --help --version'
  elif ((COMP_CWORD == 2)); then
    options='run status history list verify doctor archive install-timer uninstall-timer --help'
  elif ((COMP_CWORD == 3)) && [[ $command == archive ]]; then
    options='list restore --help'
  else
    case $command in
      run) options='--config --spoke --dry-run --delete --max-delete --bwlimit --jobs --due --verbose --quiet --log --json' ;;
      status) options='--config --json --prometheus' ;;
      history) options='--config --spoke --limit --json' ;;
      list) options='--config --spoke --long --names --json' ;;
      verify) options='--config --spoke --repair --json' ;;
      doctor) options='--config --spoke --json' ;;
      install-timer) options='--config --every --due' ;;
      archive)
        case $archive in
          list) options='--config --spoke --json' ;;
          restore) options='--config --to' ;;
        esac
        ;;
    esac
    options="$options --help"
  fi
  mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
}

complete -F _pi_brain pi-brain
