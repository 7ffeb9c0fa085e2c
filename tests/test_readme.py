import re

from helpers.recipes import RECIPES, ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_example_runs(capsys):
    example, _ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(example, {})
    printed = capsys.readouterr().out
    assert printed == "torch.Size([8, 256]) torch.Size([8, 12, 4])\n"


def test_it_names_every_hparams_file():
    for path in (RECIPES["IEMOCAP"] / "hparams").rglob("*.yaml"):
        assert f"`{path.name}`" in README


def test_nothing_was_left_to_fill_in():
    for path in ROOT.glob("**/README.md"):
        assert "@@" not in path.read_text(encoding="utf-8")
