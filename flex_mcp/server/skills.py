"""The skills extension (SEP-2640): approved golden experiences, where the user wants it."""

import hashlib
from collections.abc import Sequence
from typing import Any

import anyio.to_thread
from mcp.server import MCPServer
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, PaginatedRequestParams, RequestParams

from flex_mcp.app import App
from flex_mcp.server.limits import refusing
from flex_mcp.server.sdk import RequestContext
from flex_mcp.server.workplace import Workplace
from flex_mcp.tools import uris
from flex_mcp.tools.skills import Skill, skills

UNKNOWN = "there is no such skill: skills/list names those there are"
CACHING = {"ttlMs": 0, "cacheScope": "private"}


class GetSkillParams(RequestParams):
    uri: str


class Skills(Extension):
    """Lists skills, and gives the entry of one; their files are resources."""

    identifier = "io.modelcontextprotocol/skills"

    def __init__(self, app: App, workplace: Workplace) -> None:
        self._app = app
        self._workplace = workplace

    def methods(self) -> Sequence[MethodBinding]:
        return (
            MethodBinding("skills/list", PaginatedRequestParams, self._list),
            MethodBinding("skills/get", GetSkillParams, self._get),
        )

    async def _list(self, _: RequestContext, __: PaginatedRequestParams) -> dict[str, Any]:
        return {"skills": [_entry(skill) for skill in await self.found()], **CACHING}

    async def _get(self, _: RequestContext, params: GetSkillParams) -> dict[str, Any]:
        for entry in map(_entry, await self.found()):
            if entry["uri"] == params.uri:
                return {"skill": entry, **CACHING}
        raise MCPError(code=INVALID_PARAMS, message=UNKNOWN, data={"uri": params.uri})

    async def found(self) -> list[Skill]:
        return await anyio.to_thread.run_sync(self._found)

    @refusing()
    def _found(self) -> list[Skill]:
        if not self._app.is_there:
            return []
        return skills(self._app.library.catalogue.approved(self._workplace.projects))


def add_skill_files(server: MCPServer[Any], extension: Skills) -> None:
    """Serve the files of the skills."""

    @server.resource(uris.SKILL, name="skill", title="A skill", mime_type="text/markdown")
    async def skill(name: str) -> str:
        """Approved golden experiences of one field, as a skill."""
        for one in await extension.found():
            if one.name == name:
                return one.text
        raise ResourceNotFoundError(UNKNOWN)


def _entry(skill: Skill) -> dict[str, Any]:
    uri = uris.SKILL.format(name=skill.name)
    digest = f"sha256:{hashlib.sha256(skill.content).hexdigest()}"
    return {
        "uri": uri,
        "frontmatter": {"name": skill.name, "description": skill.description},
        "resources": [{"uri": uri, "digest": digest, "size": len(skill.content)}],
    }
