"""``speechbrain-can evaluate``: test a model, also under changes of the recordings."""

from pathlib import Path

import click

from speechbrain_can.commands.options import loading_options
from speechbrain_can.io.console import show


@click.command()
@click.argument("model")
@click.argument("prepared", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--fold",
    type=(str, int),
    metavar="PROTOCOL NUMBER",
    help="Evaluate only the test set of this fold.",
)
@click.option(
    "--map",
    "replaced",
    multiple=True,
    metavar="LABEL=CLASS",
    help="Count a label of the corpus as a class of the model, e.g. calm=neu; "
    "LABEL= skips its utterances. Repeat it for each label. Common spellings need "
    "no map.",
)
@click.option(
    "--unlabeled",
    metavar="NUMBERS",
    default="0",
    show_default=True,
    help="Numbers of other recordings of the same speaker to adapt to, such as "
    "0,5,20,all.",
)
@click.option(
    "--draw",
    type=click.Choice(["random", "neutral", "one"]),
    default="random",
    show_default=True,
    help="Recordings to adapt to: random ones, 80% of them neutral, or all of one "
    "emotion.",
)
@click.option(
    "--robustness",
    is_flag=True,
    help="Also test changed recordings: silence, level, noise, codecs, speed, "
    "reverberation and wrong words.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the predictions, or with --robustness the scores, to this CSV file.",
)
@click.option(
    "--allow-outside",
    is_flag=True,
    help="Allow audio outside the folder of the corpus.",
)
@loading_options
def evaluate(
    model,
    prepared,
    fold,
    replaced,
    unlabeled,
    draw,
    robustness,
    output,
    whisper,
    encoder,
    text_encoder,
    allow_outside,
    device,
):
    """Test a model on a prepared corpus.

    MODEL is a model folder, or a finished run, whose models are tested on the test
    sets of their folds. PREPARED is a folder with the manifest.csv of a corpus, e.g.
    results/can/1234/prepared. Emotional dimensions are not evaluated. The model chooses among the emotions that both have in
    common; utterances with other labels are skipped.
    """
    import pandas as pd
    from tabulate import tabulate

    from speechbrain_can.inference.evaluation import (
        read_test_set,
        tested_models,
    )
    from speechbrain_can.inference.loading import load_recognizer
    from speechbrain_can.inference.unlabeled import parse_numbers
    from speechbrain_can.io.files import atomic_write
    from speechbrain_can.metrics.metrics import confusion

    numbers = parse_numbers(unlabeled)
    label_map = _label_map(replaced)
    if robustness and numbers != [0]:
        raise click.UsageError(
            "--robustness tests single recordings. Leave out --unlabeled."
        )
    tables, refused, every = {}, {}, []
    for folder, only in tested_models(model, prepared, fold):
        recognizer = load_recognizer(
            folder, whisper, device, encoder, text_encoder
        )
        test_set = read_test_set(
            recognizer.classes, prepared, only, allow_outside, label_map
        )
        every += test_set.utterances
        for name, table, problems in _tested(
            recognizer, test_set, numbers, draw, robustness
        ):
            tables.setdefault(name, []).append(table)
            refused.setdefault(name, {}).update(problems)
    whole = {name: pd.concat(own) for name, own in tables.items()}
    first = next(iter(whole.values()))
    show(
        f"{len(first)} utterances; emotions in common: "
        + ", ".join(test_set.emotions)
    )
    for label, name in test_set.labels.items():
        if name not in (label, None):
            show(f"label {label} counts as {name}")
    for name, count in test_set.skipped.items():
        show(
            f"{count} utterances of {name} skipped: the model has no such class, or "
            "--map skips it"
        )
    masked = [c for c in recognizer.classes if c not in test_set.emotions]
    if masked:
        show(
            f"the model cannot choose {', '.join(masked)}, which the corpus does not "
            "have"
        )
    if len(whole) > 1:
        rows = [_row(name, tables[name], refused[name]) for name in whole]
        show(tabulate(rows, headers="keys", floatfmt=".3f"))
    else:
        for utterance, reason in next(iter(refused.values())).items():
            show(f"{utterance} skipped: {reason}")
        scores = _mean_scores(next(iter(tables.values())))
        speakers = {u.utterance_id: u.speaker for u in every}
        for line in _intervals(first, scores, speakers):
            show(line)
        for name, recall in scores["recall"].items():
            show(f"recall of {name} {recall:.3f}")
        show("Confusion matrix (rows: reference label, columns: prediction):")
        show(
            confusion(
                first["true"], first["predicted"], list(first.columns[3:])
            )
        )
    if output is not None:
        result = _rounded(first) if len(whole) == 1 else pd.DataFrame(rows)
        with atomic_write(output) as stream:
            result.to_csv(stream, index=False, float_format="%.6f")


def _label_map(replaced):
    """Return the label map of the option --map."""
    pairs = [pair.partition("=") for pair in replaced]
    for label, equals, _ in pairs:
        if not (label and equals):
            raise click.UsageError(
                f"--map={label}: write LABEL=CLASS, or LABEL= to skip a label."
            )
    labels = [label for label, _, _ in pairs]
    for label in labels:
        if labels.count(label) > 1:
            raise click.UsageError(f"--map contains {label} several times.")
    return {label: name or None for label, _, name in pairs}


def _intervals(table, scores, speakers):
    """Return the metrics as lines, with bootstrap intervals over speakers."""
    from speechbrain_can.metrics.intervals import bootstrap_intervals

    unit = "speakers" if all(speakers[i] for i in table["ID"]) else "utterances"
    table = table.assign(
        unit=table["ID"].map(speakers) if unit == "speakers" else table["ID"]
    )
    lines = []
    for name, ends in bootstrap_intervals(table, "unit").items():
        line = f"{name} {scores[name]:.3f}"
        if ends is not None:
            number = table["unit"].nunique()
            line += f" [{ends[0]:.3f}, {ends[1]:.3f}] over {number} {unit}"
        lines.append(line)
    return lines


def _tested(recognizer, test_set, numbers, draw, robustness):
    """Yield the predictions of a model, by change or number of recordings."""
    from speechbrain_can.inference.evaluation import predict_test_set
    from speechbrain_can.inference.robustness import robustness as report
    from speechbrain_can.inference.unlabeled import DRAWS, name_of

    if robustness:
        yield from report(recognizer, test_set)
        return
    tables, refused = predict_test_set(
        recognizer, test_set, numbers=numbers, draw=DRAWS[draw]
    )
    for number, table in tables.items():
        yield name_of(number), table, refused


def _mean_scores(tables):
    """Return the scores of predictions: metrics are means over the test sets."""
    import pandas as pd

    from speechbrain_can.inference.evaluation import score_table
    from speechbrain_can.metrics.metrics import METRICS

    scores = score_table(pd.concat(tables, ignore_index=True))
    each = [score_table(table) for table in tables]
    for metric in METRICS:
        scores[metric] = sum(own[metric] for own in each) / len(each)
    return scores


def _row(name, tables, refused):
    """Return the row of a table of scores."""
    row = {
        "": name,
        "n": sum(map(len, tables)),
        "refused": len(refused),
    }
    if all(len(table) for table in tables):
        scores = _mean_scores(tables)
        row |= {key: scores[key] for key in ("WA", "UA", "ECE")}
    return row


def _rounded(table):
    """Return predictions whose texts are safe in spreadsheets."""
    from speechbrain_can.io.files import as_text

    table = table.rename(columns=as_text)
    for name in ("ID", "true", "predicted"):
        table[name] = table[name].map(as_text)
    return table
