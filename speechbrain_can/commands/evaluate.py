"""``speechbrain-can evaluate``: test a model on another corpus."""

from pathlib import Path

import click

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
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the predictions to this CSV file.",
)
@click.option(
    "--allow-outside",
    is_flag=True,
    help="Allow audio outside the folder of the corpus.",
)
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="cpu, cuda:0, ...; auto: a GPU if there is one.",
)
def evaluate(model, prepared, fold, output, allow_outside, device):
    """Test a model on a corpus that it was not trained on.

    MODEL is a model folder. PREPARED is a folder with the manifest.csv of a
    corpus, e.g. results/can/1234/prepared. The model chooses among the emotions
    that both have in common; utterances with other labels are skipped.
    """
    from speechbrain_can.corpus.fold_lists import read_folds, split_fold
    from speechbrain_can.corpus.prepared import check_unchanged, folds_path
    from speechbrain_can.inference.evaluation import predict_corpus
    from speechbrain_can.inference.loading import load_recognizer
    from speechbrain_can.io.files import as_text, atomic_write
    from speechbrain_can.metrics.metrics import METRICS

    only = None
    if fold is not None:
        path = folds_path(prepared, fold[0])
        if not path.exists():
            known = (p.stem[6:] for p in sorted(prepared.glob("folds_*.csv")))
            raise click.UsageError(
                f"{path} does not exist. The protocols are {', '.join(known)}."
            )
        check_unchanged(path)
        only = set(split_fold(read_folds(path), fold[1])["test"])
    recognizer = load_recognizer(model, device=device)
    table, result = predict_corpus(recognizer, prepared, only, allow_outside)
    show(
        f"{len(table)} utterances; emotions in common: "
        + ", ".join(result["emotions"])
    )
    for name, count in result["skipped"].items():
        show(
            f"{count} utterances of {name} skipped: the model has no such class"
        )
    for name in METRICS:
        show(f"{name} {result[name]:.3f}")
    for name, recall in result["recall"].items():
        show(f"recall of {name} {recall:.3f}")
    if output is not None:
        with atomic_write(output) as stream:
            table = table.rename(columns=as_text)
            for name in ("ID", "true", "predicted"):
                table[name] = table[name].map(as_text)
            table.to_csv(stream, index=False, float_format="%.6f")
