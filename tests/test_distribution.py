"""What is handed out: the wheel, the sdist, the bundle, and what they say of themselves."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from mcp import Client, StdioServerParameters

from flex_mcp import __version__
from flex_mcp.server.server import TOOLS
from flex_mcp.settings import MODEL, Distilling

pytestmark = pytest.mark.process

ROOT = Path(__file__).parent.parent
REGISTRY = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
LISTED = [
    {variable["name"]: variable for variable in package["environmentVariables"]}
    for package in REGISTRY["packages"]
]
BIN = "Scripts" if os.name == "nt" else "bin"


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.rglob("*"))


def build(kind: str, source: Path, folder: Path) -> Path:
    run(sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder, cwd=source)
    (built,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle")
    said = run(sys.executable, ROOT / "scripts" / "bundle", folder, cwd=folder)
    assert said == f"{folder / f'flex-mcp-{__version__}.mcpb'}\n"
    return folder / f"flex-mcp-{__version__}.mcpb"


@pytest.fixture(scope="module")
def unpacked(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    shutil.unpack_archive(bundle, folder, "zip")
    return folder


@pytest.fixture(scope="module")
def manifest(unpacked: Path) -> dict[str, Any]:
    return json.loads((unpacked / "manifest.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of a new environment with the wheel; the dependencies are lent by ours."""
    pytest.importorskip("pip", reason="pip, which installs the wheel, is not here")
    folder = tmp_path_factory.mktemp("an environment")
    venv.create(folder, symlinks=os.name != "nt")
    python = folder / BIN / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet"]
    run(*pip, "--no-deps", "--no-index", wheel, cwd=folder)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    lent = [path for path in sys.path if Path(path).name == "site-packages"]
    packages = Path(run(python, "-c", where, cwd=folder).strip())
    (packages / "lent.pth").write_text("\n".join(lent), encoding="utf-8")
    return folder / BIN


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


# The wheel and the sdist


def test_the_wheel_holds_the_package_with_its_data_prompts_and_licences(wheel: Path) -> None:
    with ZipFile(wheel) as opened:
        held = set(opened.namelist())
    about = f"flex_mcp-{__version__}.dist-info"
    files = (file for file in (ROOT / "flex_mcp").rglob("*") if file.is_file())
    package = {file.relative_to(ROOT).as_posix() for file in files if file.suffix != ".pyc"}
    prompts = {f"flex_mcp/_prompts/{file.name}" for file in (ROOT / "prompts").iterdir()}
    licences = {
        f"{about}/licenses/{name}" for name in ("LICENSE", "flex_mcp/search/vectors/NOTICE")
    }
    assert package | prompts | licences <= held
    assert {name.partition("/")[0] for name in held} == {"flex_mcp", about}
    assert not [name for name in held if name.endswith(".pyc")]


def test_the_sdist_builds_the_same_wheel_and_holds_nothing_else(
    sdist: Path, wheel: Path, tmp_path: Path
) -> None:
    knows = hasattr(tarfile, "data_filter")  # from 3.11.4 on
    filtered: dict[str, Any] = {"filter": "data"} if knows else {}
    shutil.unpack_archive(sdist, tmp_path, **filtered)
    source = tmp_path / f"flex_mcp-{__version__}"
    assert not {"tests", ".ci", "benchmarks", "scripts"} & {file.name for file in source.iterdir()}
    again = build("wheel", source, tmp_path / "again")
    assert (again.name, again.read_bytes()) == (wheel.name, wheel.read_bytes())


def test_the_installed_wheel_works_from_an_empty_folder(installed: Path, empty: Path) -> None:
    command = installed / "flex-mcp"
    assert run(command, "--version", cwd=empty) == f"flex-mcp, version {__version__}\n"
    where = "import flex_mcp; print(flex_mcp.__file__)"
    package = run(installed / "python", "-c", where, cwd=empty).strip()
    assert Path(package).is_relative_to(installed.parent)
    assert "critic" in run(command, "prompts", "list", cwd=empty)
    demo = [command, "demo", "--json"]
    done = subprocess.run(demo, cwd=empty, check=True, capture_output=True, encoding="utf-8")
    starts = json.loads(done.stdout)["config"]["mcpServers"]["flex-mcp"]["command"]
    assert Path(starts).parent == installed
    assert f'claude mcp add --scope user flex-mcp -- "{starts}" serve' in done.stderr
    assert names(empty) == []


# The bundle


@pytest.mark.anyio
@pytest.mark.parametrize("unset", ["", "${{user_config.{}}}"])
async def test_the_bundles_command_serves_also_where_no_field_was_filled_in(
    installed: Path, manifest: dict[str, Any], nobodys_machine: Path, empty: Path, unset: str
) -> None:
    config = manifest["server"]["mcp_config"]
    name, *arguments = config["args"][config["args"].index("${__dirname}") + 1 :]
    server = StdioServerParameters(
        command=str(installed / name),
        args=arguments,
        cwd=empty,
        env={name: unset.format(name.lower()) for name in config["env"]}
        | {"HOME": str(nobodys_machine), "XDG_DATA_HOME": str(nobodys_machine / "data")},
    )
    async with Client(server) as client:
        assert client.server_info is not None
        assert client.server_info.version == __version__
        result = await client.call_tool("search_experience", {"query": "a first question"})
    assert not result.is_error
    assert "library.db" in names(nobodys_machine)
    assert names(empty) == []


def test_the_bundle_holds_what_its_wheel_is_built_from(
    unpacked: Path, wheel: Path, tmp_path: Path, manifest: dict[str, Any]
) -> None:
    assert build("wheel", unpacked, tmp_path).read_bytes() == wheel.read_bytes()
    assert (unpacked / manifest["server"]["entry_point"]).is_file()
    assert not {"tests", ".ci", "PKG-INFO"} & {file.name for file in unpacked.iterdir()}


def test_the_same_checkout_gives_the_same_bundle(bundle: Path, tmp_path: Path) -> None:
    run(sys.executable, ROOT / "scripts" / "bundle", tmp_path, cwd=tmp_path)
    assert (tmp_path / bundle.name).read_bytes() == bundle.read_bytes()


def test_the_bundle_says_what_the_server_says(manifest: dict[str, Any]) -> None:
    assert manifest["version"] == __version__
    assert manifest["server"]["type"] == "uv"
    assert [tool["name"] for tool in manifest["tools"]] == [row[0].__name__ for row in TOOLS]


def test_every_field_that_the_bundle_asks_for_reaches_its_setting_and_may_stay_empty(
    manifest: dict[str, Any],
) -> None:
    fields = manifest["user_config"]
    config = manifest["server"]["mcp_config"]
    assert config["env"] == {name.upper(): f"${{user_config.{name}}}" for name in fields}
    for name, field in fields.items():
        secret = LISTED[0][name.upper()].get("isSecret", False)
        assert (field["required"], field["sensitive"]) == (False, secret)
        assert isinstance(field["default"], str)  # without one a host hands on the placeholder


def test_the_bundles_manifest_keeps_to_its_schema(manifest: dict[str, Any], shared: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = shared / "schemas" / "mcpb-manifest-v0.4.schema.json"
    jsonschema.validate(manifest, json.loads(schema.read_text(encoding="utf-8")))


def test_the_official_tool_accepts_the_bundle(unpacked: Path, bundle: Path) -> None:
    tool = shutil.which("mcpb")
    if tool is None:
        pytest.skip("mcpb is not here: npm install --global @anthropic-ai/mcpb@2.1.2")
    assert "validation passes" in run(tool, "validate", unpacked / "manifest.json", cwd=unpacked)
    assert bundle.name in run(tool, "info", bundle, cwd=unpacked)


# The registry


def test_the_registry_is_told_every_setting_there_is() -> None:
    sources = (file.read_text(encoding="utf-8") for file in (ROOT / "flex_mcp").rglob("*.py"))
    read = {
        name
        for source in sources
        for name in re.findall(r'"((?:FLEX_MCP|ANTHROPIC)_[A-Z_]+)"', source)
    }
    assert {name for listed in LISTED for name in listed} == read


def test_the_registry_knows_which_settings_are_secret_and_what_the_defaults_are() -> None:
    for listed in LISTED:
        assert not [one for one in listed.values() if one["isRequired"]]
        for name, variable in listed.items():
            assert variable.get("isSecret", False) == name.endswith(("_KEY", "_TOKEN", "_TOKENS"))
        assert listed["FLEX_MCP_MODEL"]["default"] == MODEL
        assert listed["FLEX_MCP_DISTILLER"]["choices"] == list(Distilling)
    stdio, http = LISTED
    assert all(stdio[name] == http[name] for name in stdio.keys() & http.keys())


def test_the_command_takes_the_arguments_that_the_registry_hands_out() -> None:
    for package in REGISTRY["packages"]:
        (command,) = (one["value"] for one in package["packageArguments"] if "name" not in one)
        named = [one["name"] for one in package["packageArguments"] if "name" in one]
        usage = run(sys.executable, "-m", "flex_mcp", command, "--help", cwd=ROOT)
        assert not [name for name in named if name not in usage]
