"""Data preparation of the controlled corpus, which has the layout of IEMOCAP."""

from iemocap_prepare import iemocap_source

from speechbrain_can.controlled.generator import make_corpus
from speechbrain_can.corpus.preparation import prepare_corpus


def prepare_controlled_corpus(
    data_folder,
    save_folder,
    generator=None,
    classes=7,
    protocol="random10",
    fold_seed=1234,
):
    """Generate and prepare the corpus, unless it is already prepared.

    Arguments
    ---------
    data_folder : str
        Folder of the corpus.
    save_folder : str
        Output folder.
    generator : dict or None
        Arguments of ``make_corpus``; None to use an existing corpus.
    classes : int
        7, 6 or 4; see ``prepare_iemocap``.
    protocol : str
        ``random10``, ``leave_one_session_out`` or another protocol.
    fold_seed : int
        Seed of random folds.

    Raises
    ------
    CorpusError
        If the folder contains another corpus.
    """
    if generator is not None:
        make_corpus(data_folder, **generator)
    source = iemocap_source(data_folder, classes)
    prepare_corpus(source, save_folder, protocol, fold_seed)
