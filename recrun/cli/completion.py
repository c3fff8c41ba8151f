"""`recrun completion`: print the script by which a shell completes what is typed, and answer that script.

It builds on click's completion. A script hands over the line up to the cursor, or its words, and reads a candidate a
line: `plain` (a blank follows) or `open` (more follows), the word, and its help, separated by tabs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Final

import click
from click.shell_completion import CompletionItem, ShellComplete, add_completion_class, split_arg_string

from recrun.cli._options import debug_option, echo
from recrun.errors import RecrunError

LINE, WORDS, BREAKS = "_RECRUN_LINE", "_RECRUN_WORDS", "_RECRUN_BREAKS"
"""Variables in which a shell hands over the line, or its words one a line; and the characters at which bash cuts."""

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
    """Print the script by which a shell completes what is typed.

    bash: add `eval "$(recrun completion bash)"` to ~/.bashrc. zsh: the same with zsh, to ~/.zshrc. fish: write it to
    ~/.config/fish/completions/recrun.fish.

    \b
    Example:
        recrun completion bash
    """
    echo(SCRIPTS[shell], nl=False)


class _Shell(ShellComplete):
    """What the shells have in common."""

    source_template = ""
    end = ""  # what the script adds to the last word

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the complete words after the command's name, and the one being typed."""
        words = os.environ.get(WORDS, "").removesuffix(self.end).split("\n")
        return words[1:-1], words[-1] if len(words) > 1 else ""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        """Return the candidates as whole words: click's values of `--option=value` lack the option."""
        option, equals, _ = incomplete.partition("=")
        prefix = option + equals if equals and option.startswith("--") else ""
        items = super().get_completions(args, incomplete)
        typed = incomplete.removeprefix(prefix)
        return [
            CompletionItem(prefix + each.value, each.type, each.help)
            for item in items
            for each in _of_paths(item, typed)
        ]

    def complete(self) -> str:
        """Return the candidates; none where the line cannot be understood, as a shell has no place for errors."""
        try:
            arguments, incomplete = self.get_completion_args()
            items = self.get_completions(arguments, incomplete)
        except (RecrunError, click.ClickException, OSError):
            return ""
        return "\n".join(self.format_completion(item) for item in items)

    def format_completion(self, item: CompletionItem) -> str:
        """Return one line for a candidate."""
        text = (item.help or "").partition("\n")[0].replace("\t", " ")
        return f"{item.type}\t{item.value}\t{text}"


class _Bash(_Shell):
    name = "bash"

    def get_completion_args(self) -> tuple[list[str], str]:
        """Split the line as bash would; words that are typed are not cut at `=`."""
        line = os.environ.get(LINE, "")
        words = split_arg_string(line)
        if not words or line[-1:].isspace():
            words.append("")
        return words[1:-1], words[-1]

    def format_completion(self, item: CompletionItem) -> str:
        """Return what bash inserts: it cuts a word at characters such as `=` and `:`, and replaces the last piece."""
        raw, value = _last_word(os.environ.get(LINE, "")), str(item.value)
        if raw[:1] in ("'", '"'):
            return super().format_completion(CompletionItem(value, item.type, item.help))
        breaks = "".join(each for each in os.environ.get(BREAKS, "=:") if not each.isspace())
        kept = max((raw.rfind(each) for each in breaks), default=-1) + 1
        value = re.sub(r"([\s'\"\\$`&;|<>()*?!#~])", r"\\\1", value)
        return super().format_completion(CompletionItem(value[kept:], item.type, item.help))


class _Zsh(_Shell):
    name = "zsh"


class _Fish(_Shell):
    name = "fish"
    end = "\n"


for _class in (_Bash, _Zsh, _Fish):
    add_completion_class(_class)


def _last_word(line: str) -> str:
    """Return the word that a line ends with, as it was typed, with its quotes."""
    begin, quote = 0, ""
    for position, each in enumerate(line):
        if quote:
            quote = "" if each == quote else quote
        elif each in "'\"":
            quote = each
        elif each.isspace() and line[position - 1 : position] != "\\":
            begin = position + 1
    return line[begin:]


def _of_paths(item: CompletionItem, incomplete: str) -> Iterator[CompletionItem]:
    """Yield a candidate; the type of an option that takes a path stands for the paths there are."""
    if item.type in ("file", "dir"):
        from recrun.cli._complete import paths

        yield from paths(incomplete, only_folders=item.type == "dir")
    else:
        yield item
