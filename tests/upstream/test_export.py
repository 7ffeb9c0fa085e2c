"""The contribution, exported to the installed SpeechBrain.

SpeechBrain's own checks need a checkout; see ``make upstream``.
"""

import json
import re
import shutil
import subprocess
import sys

import pytest
from helpers.corpora import write_wav
from helpers.recipes import (
    RECIPES,
    ROOT,
    load_module,
    on,
    read_predictions,
    run,
)
from upstream.check import (
    commit,
    make_environment,
    run as run_in,
)
from upstream.export import PARTS, ExportError, export, git, module_path
from upstream.merge import RECIPE, merge

from speechbrain_can.corpus.manifest import read_manifest
from speechbrain_can.settings.hparams import read_settings


@pytest.fixture(scope="session")
def parts(wheel, tmp_path_factory):
    """Return the checkout with all pull requests, and the statistics of git."""
    checkout = tmp_path_factory.mktemp("upstream") / "speechbrain"
    shutil.copytree(wheel, checkout, symlinks=True)
    stats = {}
    for part in PARTS:
        export(checkout, part)
        commit(checkout, part)
        stats[part] = git(checkout, "diff", "--shortstat", "HEAD~1")
    return checkout, stats


@pytest.fixture(scope="session")
def environment(parts, tmp_path_factory):
    """Create an environment in which ``speechbrain`` is that checkout."""
    folder = tmp_path_factory.mktemp("environment")
    return make_environment(folder, parts[0])


@pytest.mark.parametrize("part", PARTS)
def test_rewriting_is_idempotent(parts, part):
    checkout, _ = parts
    export(checkout, part)
    assert git(checkout, "status", "--porcelain") == ""


def test_export_does_not_import_this_package(parts):
    checkout, _ = parts
    written = git(checkout, "diff", "--name-only", "HEAD~3").split()
    assert len(written) > 20
    for path in written:
        text = (checkout / path).read_text(encoding="utf-8")
        assert not re.search(r"speechbrain_can|helpers\.", text), path


def test_size_of_the_first_pull_request(parts):
    _, stats = parts
    files, lines = map(int, re.findall(r"\d+", stats["can"])[:2])
    assert files <= 14 and lines <= 3000, lines


def test_exported_tests_and_examples_pass(parts, environment):
    checkout, _ = parts
    modules = [m for part in PARTS.values() for m in part.modules]
    written = git(checkout, "diff", "--name-only", "HEAD~3", "--", "*.py")
    passed, printed = run_in(
        [
            *("python", "-m", "pytest", "-q", "--doctest-modules"),
            *(str(module_path(module)) for module in modules),
            *(path for path in written.split() if "/test_" in path),
        ],
        checkout,
        environment,
    )
    assert passed, printed


def test_exported_systems_equal_ours(parts, environment):
    """The parameters have the same names, sizes and order."""
    checkout, _ = parts
    systems = [*PARTS["can"].systems, *PARTS["systems"].systems]
    program = (
        "import json, sys\n"
        "from hyperpyyaml import load_hyperpyyaml\n"
        "found = {}\n"
        "for path in sys.argv[2:]:\n"
        "    given = {'data_folder': '', 'output_folder': sys.argv[1]}\n"
        "    with open(path) as stream:\n"
        "        hparams = load_hyperpyyaml(stream, given)\n"
        "    parameters = hparams['model'].named_parameters()\n"
        "    found[path] = [(n, list(p.shape)) for n, p in parameters]\n"
        "print(json.dumps(found))\n"
    )
    files = {s: str(RECIPE / "hparams" / f"{s}.yaml") for s in systems}
    passed, printed = run_in(
        ["python", "-c", program, str(checkout / "out"), *files.values()],
        checkout,
        environment,
    )
    assert passed, printed
    theirs = json.loads(printed.splitlines()[-1])
    for system, path in files.items():
        ours = read_settings(
            RECIPES["IEMOCAP"] / "hparams" / f"{system}.yaml",
            {"output_folder": str(checkout / "out"), "data_folder": "x"},
        ).build()["model"]
        assert theirs[path] == [
            [name, list(parameter.shape)]
            for name, parameter in ours.named_parameters()
        ]


@pytest.mark.parametrize("system", ["can", "multi_hop"])
def test_export_predicts_the_same(
    system, parts, environment, controlled_corpus, tmp_path
):
    """Only the order of summation of frame statistics differs."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    run(ours, *on(controlled_corpus), "--fold=0", model=system)
    small = {
        "data_folder": controlled_corpus,
        "output_folder": theirs,
        "protocol": "leave_one_session_out",
        "hidden_size": 8,
        "embedding_size": 12,
        "number_of_epochs": 3,
        "batch_size": 8,
        "num_workers": 0,
    }
    passed, printed = run_in(
        [
            *("python", "train.py", f"hparams/{system}.yaml"),
            *(f"--{key}={value}" for key, value in small.items()),
        ],
        parts[0] / RECIPE,
        environment,
    )
    assert passed, printed
    expected = read_predictions(ours, 0)
    with open(theirs / "predictions.csv", newline="") as stream:
        rows = stream.read().splitlines()
    columns, *rows = (row.split(",") for row in rows)
    found = {row[0]: dict(zip(columns, row)) for row in rows}
    assert len(expected) == len(found) > 5
    for row in expected:
        other = found[row["ID"]]
        assert (other["true"], other["predicted"]) == (
            row["true"],
            row["predicted"],
        )
        for emotion in columns[3:]:
            assert float(other[emotion]) == pytest.approx(
                float(row[emotion]), abs=1e-5
            )
    utterances = read_manifest(ours / "prepared" / "manifest.csv")
    annotated = {
        utterance_id: row
        for part in ("train", "valid", "test")
        for utterance_id, row in json.loads(
            (theirs / f"{part}.json").read_text()
        ).items()
    }
    assert annotated.keys() == utterances.keys()
    for utterance_id, row in annotated.items():
        words = utterances[utterance_id].words
        assert row["words"].split() == [word.text for word in words]
        assert list(map(float, row["ends"].split())) == [w.end for w in words]
        assert row["duration"] == pytest.approx(
            utterances[utterance_id].duration, abs=1e-6
        )


def test_exported_preparation_lists_skipped_utterances(
    parts, release, tmp_path
):
    release.add("Ses01F_impro01_F001", label="xxx")
    release.add("Ses02F_impro01_F001")
    release.wdseg("Ses02F_impro01_F001").write_text("")
    release.add("Ses03M_impro05a_F001")
    write_wav(release.wav("Ses03M_impro05a_F001"), 1.0, 8000)
    release.add("Ses04M_impro05a_F001", label="sur")
    module = load_module(parts[0] / RECIPE / "iemocap_multimodal_prepare.py")
    annotations = {
        f"{part}_annotation": str(tmp_path / f"{part}.json")
        for part in ("train", "valid", "test")
    }

    def prepare(**changes):
        settings = {"protocol": "leave_one_session_out", "fold": 3, **changes}
        module.prepare_iemocap_multimodal(
            str(release.folder), **annotations, **settings
        )
        return {
            part: json.loads((tmp_path / f"{part}.json").read_text())
            for part in ("train", "valid", "test", "preparation")
        }

    found = prepare()
    assert found["preparation"]["skipped"].keys() == {
        "Ses01F_impro01_F001",
        "Ses02F_impro01_F001",
        "Ses03M_impro05a_F001",
    }
    for utterance_id, reason in {
        "Ses01F_impro01_F001": "label 'xxx' is not one of the classes",
        "Ses02F_impro01_F001": "the alignment is empty",
        "Ses03M_impro05a_F001": "expected 16000 Hz and one channel, found 8000 Hz and 1",
    }.items():
        assert reason in found["preparation"]["skipped"][utterance_id]
    assert found["test"]["Ses04M_impro05a_F001"] == {
        "wav": "{data_root}/Session4/sentences/wav/Ses04M_impro05a/"
        "Ses04M_impro05a_F001.wav",
        "duration": 1.0,
        "speaker": "Ses04F",
        "emotion": "sur",
        "words": "so what",
        "starts": "0.000000 0.500000",
        "ends": "0.500000 1.000000",
    }
    assert [len(found[part]) for part in ("train", "valid", "test")] == [
        7,
        1,
        3,
    ]
    before = (tmp_path / "test.json").stat().st_mtime_ns
    assert prepare() == found
    assert (tmp_path / "test.json").stat().st_mtime_ns == before
    # other settings are prepared again
    assert prepare(fold=1)["test"].keys() != found["test"].keys()
    for changes, message in (
        ({"fold": 5}, "fold 5 does not exist"),
        ({"protocol": "loso"}, "protocol='loso'. Choose one of .*random10"),
        ({"classes": 5}, "classes=5. Choose one of"),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(**changes)


def test_export_errors(wheel, tmp_path):
    with pytest.raises(ExportError, match="is no checkout of SpeechBrain"):
        export(tmp_path)
    with pytest.raises(ExportError, match="Export and commit that first"):
        export(wheel, "systems")
    checkout = tmp_path / "checkout"
    shutil.copytree(wheel, checkout)
    (checkout / "speechbrain" / "core.py").write_text("# mine\n")
    with pytest.raises(ExportError, match="core.py. Commit or stash"):
        export(checkout)
    git(checkout, "checkout", "--quiet", "speechbrain/core.py")
    export(checkout)
    export(checkout)  # exporting twice is allowed
    (checkout / RECIPE / "train.py").write_text("# mine\n")
    with pytest.raises(ExportError, match="train.py. Commit or stash"):
        export(checkout)
    (checkout / "speechbrain" / "version.txt").write_text("1.0.3rc1\n")
    with pytest.raises(ExportError, match="is SpeechBrain 1.0.3rc1; .* needs"):
        export(checkout)


def test_merging_refuses_two_things_of_one_name(tmp_path):
    path = tmp_path / "module.py"
    path.write_text(
        '"""Doc."""\n\nfrom speechbrain_can.io.files import decode\n\n\n'
        "def use(text):\n    return decode(text)\n"
    )
    merged, origins = merge(path)
    assert "def decode" in merged and "def atomic_write" not in merged
    assert origins == {("speechbrain_can.io.files", "decode")}
    there = {("speechbrain_can.io.files", "decode"): "speechbrain.there"}
    assert "from speechbrain.there import decode" in merge(path, there)[0]
    other = {("speechbrain_can.other", "decode"): "speechbrain.there"}
    assert "def decode" in merge(path, other)[0]
    path.write_text(
        '"""Doc."""\n\nfrom speechbrain_can.io.files import write_json\n\n\n'
        "def atomic_write(path):\n    return write_json(path, {})\n"
    )
    with pytest.raises(ValueError, match="would be called atomic_write"):
        merge(path)


def test_the_command_names_the_parts():
    result = subprocess.run(
        [sys.executable, "-m", "upstream.export", "--help"],
        cwd=ROOT / "tests",
        capture_output=True,
        encoding="utf-8",
    )
    assert "[can|systems|encoders]" in result.stdout, result.stderr
