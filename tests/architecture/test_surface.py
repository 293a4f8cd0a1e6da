"""What users type and import is frozen: a change here is a change of the product, so it is made on purpose."""

from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import pickout
from pickout.cli.app import build

_OPTIONS = {
    "pickout demo": "--crops --device --json --out --sentence --set --top --train",
    "pickout data check": "--json --open",
    "pickout data fetch": "--column --out",
    "pickout data list": "--json",
    "pickout data draw": "--avatars --json --set --sheet --workers",
    "pickout train": "--device --json --out --set",
    "pickout evaluate": "--device --json --out --protocol --set --split",
    "pickout study": "--data --jobs --json --out --set",
    "pickout video": "--camera --camera-from --detector --device --gallery --json --last --model --out --per-track "
    "--set --start --workers --zone",
    "pickout index": "--again --camera-from --device --engine --exclude --json --model --out --prune --prune-folders "
    "--runtime --set --table --workers",
    "pickout search": "--after --also --before --camera --device --during --explain --group --html --image --json "
    "--label --like --model --not-camera --not-label --page --parse --purpose --runtime --save --saved --set --top "
    "--track --unlike --video --without",
    "pickout saved": "--json --remove",
    "pickout gallery info": "--json",
    "pickout gallery remove": "--after --before --camera --crop --during --json --label --not-camera --not-label "
    "--track --video --yes",
    "pickout gallery erase": "--after --before --camera --crop --during --json --label --not-camera --not-label "
    "--track --video --yes",
    "pickout gallery update": "--after --before --camera --crop --during --json --label --not-camera --not-label "
    "--set --track --video --yes",
    "pickout gallery compact": "--json",
    "pickout gallery approximate": "--device --json --model --off --set",
    "pickout gallery verify": "--files --json",
    "pickout gallery rebuild": "--device --drop-missing --json --model --restart --set",
    "pickout gallery export": "--after --before --camera --crop --crops --during --force --json --label --not-camera "
    "--not-label --track --video",
    "pickout gallery import": "--again --crops-to --json --replace",
    "pickout calibrate": "--device --json --model --set --split",
    "pickout adapt": "--device --json --model --out --set",
    "pickout export": "--crops --format --json --precision",
    "pickout bench": "--crops --json --model --number --out --rounds --runtime",
    "pickout explain show": "--device --html --json --out --way",
    "pickout explain measure": "--device --json --out --set --split",
    "pickout explain word": "--device --json --out --visible",
    "pickout explain enrich": "--device --json --out",
    "pickout explain masks": "--device --draws --json --out --seed",
    "pickout explain vacuous": "--device --json --seed --sentences --split",
    "pickout explain entropy": "--device --json --out --pairs --split",
    "pickout serve": "--certificate --certificate-key --demo --device --engine --host --model --port --recordings "
    "--runtime --state --workers",
    "pickout token create": "--blurred --camera --days --gallery --json --role --state",
    "pickout token list": "--json --state",
    "pickout token revoke": "--state",
    "pickout retention set": "--camera --days",
    "pickout retention show": "--json",
    "pickout retention enforce": "--json",
    "pickout retention hold": "--after --before --camera --crop --during --label --not-camera --not-label --track "
    "--video",
    "pickout retention lift": "",
    "pickout case verify": "--json --key",
    "pickout mcp": "--device --model --state",
    "pickout audit head": "--key --public --since",
    "pickout audit verify": "--head --json --key",
    "pickout audit witness": "--json",
    "pickout audit export": "--form --start",
    "pickout audit shown": "--json",
    "pickout weights list": "--json",
    "pickout weights push": "--endpoint --licence --public",
    "pickout weights get": "--endpoint --json --to",
}


def _options(command: Any, path: str) -> dict[str, str]:
    if hasattr(command, "commands"):
        found: dict[str, str] = {}
        for name, child in command.commands.items():
            found |= _options(child, f"{path} {name}")
        return found
    names = {option for parameter in command.params for option in parameter.opts if option.startswith("-")}
    return {path: " ".join(sorted(names - {"--help"}))}


def test_the_command_line_has_these_options_and_no_other() -> None:
    assert _options(typer.main.get_command(build()), "pickout") == _OPTIONS


def test_the_package_exports_these_names_and_no_other() -> None:
    assert sorted(pickout.__all__) == ["Gallery", "Query", "Where", "__version__", "errors", "evaluate", "load"]
    for name in pickout.__all__:
        assert getattr(pickout, name) is not None


def test_every_help_is_shown_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brackets in a text are no marks of colour: one took a word out of a help, another ended it in a traceback."""
    monkeypatch.setenv("COLUMNS", "300")
    whole = typer.main.get_command(build())
    for path in [*_OPTIONS, "pickout"]:
        command: Any = whole
        for name in path.split()[1:]:
            command = command.commands[name]
        shown = CliRunner().invoke(build(), [*path.split()[1:], "--help"])
        assert shown.exit_code == 0, f"{path}: {shown.exception!r}"
        told = [command.help or "", *(getattr(each, "help", None) or "" for each in command.params)]
        lost = [word for text in told for word in text.split() if word not in shown.output]
        assert not lost, f"{path}: {lost}"
