/**
 * The scripts that make a shell complete `lodestar`. They hold no list of commands: each asks the program that is installed
 * (`lodestar completions --complete=WORD -- WORDS…`), so that they never grow old. What they get is put into the line as text: no
 * script evaluates it.
 */
export const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;
export type Shell = (typeof SHELLS)[number];

/** Works in bash 3.2 (macOS) and newer, with or without the package bash-completion. */
const BASH = `# lodestar completions for bash
_lodestar() {
  local rest=$COMP_LINE word prefix kind line i
  local -a words=()
  # Bash splits words at = and :. They are put together again where no space stood between them.
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if ((i > 0)) && [[ $rest != [[:space:]]* && $rest == "$word"* && -n $word ]]; then
      words[\${#words[@]}-1]+=$word
    else
      rest=\${rest#"\${rest%%[![:space:]]*}"}
      words+=("$word")
    fi
    rest=\${rest#"$word"}
  done
  local current=\${words[\${#words[@]}-1]}
  unset "words[\${#words[@]}-1]"
  # Only the last piece is replaced.
  word=\${COMP_WORDS[COMP_CWORD]}
  [[ $word == [:=] ]] && word=
  prefix=\${current%"$word"}
  COMPREPLY=()
  {
    IFS= read -r kind
    case $kind in
      files | dirs)
        while IFS= read -r line; do COMPREPLY+=("$line"); done < <(
          if [[ $kind == dirs ]]; then compgen -d -- "$current"; else compgen -f -- "$current"; fi
        )
        compopt -o filenames 2>/dev/null
        ;;
      words)
        while IFS= read -r line; do
          line=\${line%%$'\\t'*}
          COMPREPLY+=("\${line#"$prefix"}")
        done
        compopt -o nosort 2>/dev/null
        ;;
    esac
  } < <(command lodestar completions "--complete=$current" -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _lodestar lodestar
`;

const ZSH = `#compdef lodestar
# lodestar completions for zsh
_lodestar() {
  local line kind
  local -a answer values shown
  answer=("\${(@f)$(command lodestar completions "--complete=\${(Q)words[CURRENT]}" -- "\${(@Q)words[2,CURRENT-1]}" 2>/dev/null)}")
  kind=$answer[1]
  case $kind in
    files) _files ;;
    dirs) _files -/ ;;
    words)
      for line in "\${(@)answer[2,-1]}"; do
        values+=("\${line%%$'\\t'*}")
        if [[ $line == *$'\\t'* ]]; then
          shown+=("\${line%%$'\\t'*}  -- \${line#*$'\\t'}")
        else
          shown+=("$line")
        fi
      done
      (( $#values )) && compadd -V lodestar -l -d shown -a values
      ;;
  esac
}
if [[ "\${funcstack[1]}" == _lodestar ]]; then
  _lodestar "$@"
elif (( $+functions[compdef] )); then
  compdef _lodestar lodestar
fi
`;

const FISH = `# lodestar completions for fish
function __lodestar_complete
    set -l words (commandline --tokenize --cut-at-cursor --current-process)
    set -l current (commandline --current-token --cut-at-cursor)
    set -e words[1]
    set -l answer (command lodestar completions "--complete=$current" -- $words 2>/dev/null)
    set -l kind $answer[1]
    set -e answer[1]
    switch "$kind"
        case files
            __fish_complete_path "$current"
        case dirs
            __fish_complete_directories "$current"
        case words
            test (count $answer) -gt 0; and printf '%s\\n' $answer
    end
end
complete --command lodestar --erase
complete --command lodestar --no-files --keep-order --arguments '(__lodestar_complete)'
`;

const POWERSHELL = `# lodestar completions for PowerShell 5.1 and newer
Register-ArgumentCompleter -Native -CommandName lodestar -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements |
        Select-Object -Skip 1 |
        Where-Object { $_.Extent.EndOffset -lt $cursorPosition } |
        ForEach-Object { $_.Extent.Text })
    $program = @(Get-Command -Name lodestar -CommandType Application -ErrorAction SilentlyContinue)[0]
    if ($null -eq $program) { return }
    $answer = @(& $program completions "--complete=$wordToComplete" -- @words 2>$null)
    if ($answer.Count -eq 0 -or $answer[0] -ne 'words') { return }
    $answer | Select-Object -Skip 1 | ForEach-Object {
        $value, $about = $_ -split "\`t", 2
        if ([string]::IsNullOrEmpty($about)) { $about = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $about)
    }
}
`;

export const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH, powershell: POWERSHELL };
