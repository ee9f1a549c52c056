"""`vaeserve completion`: the script that makes a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

PROGRAM = "vaeserve"
SHELLS = ("bash", "zsh", "fish")


@click.command(short_help="The script that completes commands and options in a shell.")
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a script that makes a shell complete the commands, options and files of `vaeserve`.

    \b
    bash   vaeserve completion bash > ~/.local/share/bash-completion/completions/vaeserve
    zsh    eval "$(vaeserve completion zsh)"      in ~/.zshrc, after compinit
    fish   vaeserve completion fish > ~/.config/fish/completions/vaeserve.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click knows these shells"
    root = click.get_current_context().find_root().command
    click.echo(kind(root, {}, PROGRAM, f"_{PROGRAM.upper()}_COMPLETE").source())
