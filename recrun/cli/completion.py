"""`recrun completion`: print the script that lets a shell complete what is typed."""

from __future__ import annotations

from typing import Final

import click

from recrun.cli._options import debug_option

_BASH: Final = """\
_recrun_completion() {
    local kind word help
    COMPREPLY=()
    while IFS=$'\\t' read -r kind word help; do
        [ -n "$kind" ] || continue
        COMPREPLY+=("$word")
        if [ "$kind" = open ]; then compopt -o nospace 2>/dev/null; fi
    done < <(_RECRUN_LINE="${COMP_LINE:0:COMP_POINT}" _RECRUN_BREAKS="$COMP_WORDBREAKS" \\
        _RECRUN_COMPLETE=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F _recrun_completion recrun 2>/dev/null || complete -F _recrun_completion recrun
"""

_ZSH: Final = """\
#compdef recrun
_recrun_completion() {
    local -a plain plain_shown open open_shown typed
    local kind word help shown
    typed=("${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}")
    while IFS=$'\\t' read -r kind word help; do
        [[ -n $kind ]] || continue
        shown=$word${help:+  -- $help}
        if [[ $kind == open ]]; then
            open+=("$word"); open_shown+=("${shown[1,COLUMNS-1]}")
        else
            plain+=("$word"); plain_shown+=("${shown[1,COLUMNS-1]}")
        fi
    done < <(_RECRUN_WORDS="${(F)typed}" _RECRUN_COMPLETE=zsh_complete ${(Q)words[1]} 2>/dev/null)
    compadd -U -V recrun -l -d plain_shown -a plain
    compadd -U -V recrun -l -S '' -d open_shown -a open
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _recrun_completion "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _recrun_completion recrun
fi
"""

_FISH: Final = """\
function _recrun_completion
    set -l typed (commandline -opc) (commandline -ct)
    set -lx _RECRUN_WORDS (string join \\n -- $typed | string collect --no-trim-newlines --allow-empty)
    set -lx _RECRUN_COMPLETE fish_complete
    for line in ($typed[1] 2>/dev/null)
        set -l parts (string split \\t -- $line)
        test -n "$parts[2]"; and printf '%s\\t%s\\n' $parts[2] $parts[3]
    end
end
complete --no-files --command recrun --arguments '(_recrun_completion)'
"""

SCRIPTS: Final = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@click.command("completion")
@click.argument("shell", type=click.Choice(list(SCRIPTS)))
@debug_option
def command(shell: str) -> None:
    """Print the script that lets a shell complete commands, settings and their values.

    bash: add `eval "$(recrun completion bash)"` to ~/.bashrc. zsh: the same with zsh, to ~/.zshrc. fish: write it to
    ~/.config/fish/completions/recrun.fish.

    \b
    Example:
        recrun completion bash
    """
    click.echo(SCRIPTS[shell], nl=False)
