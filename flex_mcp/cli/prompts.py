"""Commands on the prompts that models are asked with."""

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import answering, main
from flex_mcp.safety.quoting import one_line
from flex_mcp.tools.answers import Answer


@main.group(invoke_without_command=True)
@click.pass_context
def prompts(ctx: click.Context) -> None:
    """See what the models are asked. NAME.md in the folder FLEX_MCP_PROMPTS takes its place."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@prompts.command("list")
@answering
def list_prompts() -> Answer:
    """List the prompts with their versions."""
    found = App().prompts
    versions = {name: found.version(name) for name in found.names()}
    strays = found.strays()
    notes = [f"{one_line(name)} takes the place of no prompt: rename it" for name in strays]
    content = {"prompts": versions, "strays": strays}
    return Answer(content, "\n".join([*versions.values(), *notes]))


@prompts.command("show")
@click.argument("name")
@click.option("--raw", is_flag=True, help="Its file, with the $placeholders: begin yours with it.")
@answering
def show_prompt(name: str, *, raw: bool) -> Answer:
    """Print one prompt as a model gets it, about the demonstration's trajectories."""
    from flex_mcp.demo.examples import prompt

    found = App().prompts
    text = found.raw(name) if raw else prompt(found, name)
    content = {"name": name, "version": found.version(name), "text": text}
    return Answer(content, text)
