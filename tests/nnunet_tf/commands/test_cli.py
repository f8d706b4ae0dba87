import subprocess
import sys

import pytest

from data_preprocessing.common.errors import UserError
from nnunet_tf.commands import cli
from nnunet_tf.version import VERSION
from tests.commands import ROOT

HEAVY = ("tensorflow", "numpy", "pydantic", "nibabel", "rich")


@pytest.mark.slow
@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_a_module_with_a_light_help(name):
    code = (
        "import sys\n"
        "from nnunet_tf.commands.cli import main\n"
        f"sys.argv = ['nnunet-tf', '{name}', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('LOADED', *sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert f"usage: nnunet-tf {name}" in done.stdout
    assert done.stdout.splitlines()[-1] == "LOADED"


def test_the_version_and_the_list_of_commands(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["nnunet-tf", "--version"])
    cli.main()
    assert capsys.readouterr().out.split() == ["nnunet-tf", VERSION]
    monkeypatch.setattr(sys, "argv", ["nnunet-tf"])
    cli.main()
    said = capsys.readouterr().out
    assert all(name in said for name in cli.COMMANDS)
    assert max(map(len, said.splitlines())) <= 80


def test_a_command_misspelt_is_told_what_it_could_be():
    with pytest.raises(UserError, match="predict"):
        cli._main(["predic"])
