"""Commands on the prompts that models are asked with."""

import click

from flex_mcp.app import App
from flex_mcp.cli.commands import json_option, show_answer
from flex_mcp.safety.quoting import one_line
from flex_mcp.tools.answers import Answer


@click.group(invoke_without_command=True)
@click.pass_context
def prompts(ctx: click.Context) -> None:
    """See what the models are asked. NAME.md in the folder FLEX_MCP_PROMPTS takes its place."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@prompts.command("list")
@json_option
def list_prompts(*, as_json: bool) -> None:
    """List the prompts with their versions."""
    found = App().prompts
    versions = {name: found.version(name) for name in found.names()}
    strays = found.strays()
    notes = [f"{one_line(name)} takes the place of no prompt: rename it" for name in strays]
    content = {"prompts": versions, "strays": strays}
    show_answer(Answer(content, "\n".join([*versions.values(), *notes])), as_json=as_json)


@prompts.command("show")
@click.argument("name")
@click.option("--raw", is_flag=True, help="Its file, with the $placeholders: begin yours with it.")
@json_option
def show_prompt(name: str, *, raw: bool, as_json: bool) -> None:
    """Print one prompt as a model gets it, about the demonstration's trajectories."""
    from flex_mcp.demo.examples import prompt

    found = App().prompts
    text = found.raw(name) if raw else prompt(found, name)
    content = {"name": name, "version": found.version(name), "text": text}
    show_answer(Answer(content, text), as_json=as_json)
