"""Text encoders: the words of a batch to ``[batch, words, features]``."""

import re
from collections import Counter

import torch

from speechbrain.utils.logger import get_logger
from speechbrain_can.lobes.ragged import RaggedBLSTM, count_words, pad

logger = get_logger(__name__)

UNKNOWN = "<unk>"
# The spread of GloVe's own values, for words it does not have.
RANDOM_STD = 0.4

_IRREGULAR = {
    "can't": ("ca", "n't"),
    "won't": ("wo", "n't"),
    "shan't": ("sha", "n't"),
    "cannot": ("can", "not"),
    "gonna": ("gon", "na"),
    "wanna": ("wan", "na"),
    "gotta": ("got", "ta"),
    "gimme": ("gim", "me"),
    "lemme": ("lem", "me"),
    "'tis": ("'t", "is"),
    "'twas": ("'t", "was"),
}
_NEGATION = re.compile(r"(.+)(n't)")
_CLITIC = re.compile(r"(.+?)('(?:s|m|d|re|ve|ll|em|all)?)")


def split_contraction(word):
    """One or two pieces of a word in lower case, as Penn Treebank and GloVe have it.

    Example
    -------
    >>> split_contraction("i'm"), split_contraction("don't")
    (('i', "'m"), ('do', "n't"))
    >>> split_contraction("apple")
    ('apple',)
    """
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    match = _NEGATION.fullmatch(word) or _CLITIC.fullmatch(word)
    return match.groups() if match else (word,)


def read_glove(path, tokens, size):
    """Reads the vectors of some tokens from a GloVe text file.

    Arguments
    ---------
    path : str or Path
        A file of lines ``token value ... value``.
    tokens : set of str
        The tokens wanted; the others are passed over unparsed.
    size : int
        Number of values a line.

    Returns
    -------
    dict of str: torch.Tensor
        Vectors of shape ``[size]`` of the tokens found.

    Raises
    ------
    ValueError
        If a line has another number of values or one that is no finite number.
    """
    vectors = {}
    with open(path, encoding="utf-8-sig", newline="\n") as stream:
        for number, line in enumerate(stream, start=1):
            token, _, rest = line.rstrip("\n").partition(" ")
            if number == 1 and rest.strip().isdigit():
                continue  # word2vec's header: number of words and size
            # The first line is always parsed: a wrong size shows at once.
            if token not in tokens and number > 1:
                continue
            values = rest.split()
            if len(values) != size:
                # A token of GloVe 840B may hold spaces (". . ."): not ours.
                if len(values) > size and number > 1:
                    continue
                raise ValueError(
                    f"{path}, line {number}: {token!r} has {len(values)} "
                    f"values where embedding_size is {size}"
                )
            try:
                vector = torch.tensor([float(v) for v in values])
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}")
            if not vector.isfinite().all():
                raise ValueError(f"{path}, line {number}: no finite numbers")
            if token in tokens:
                vectors[token] = vector
    return vectors


class WordEmbedding(torch.nn.Module):
    """Trainable word vectors, initialised from GloVe where there is a file.

    The vocabulary is set by ``fit_vocabulary`` and travels with the weights,
    so that a checkpoint is complete in itself. A word that GloVe lacks gets the
    mean of those of its Treebank pieces that GloVe has ("i" and "'m" for
    "i'm"), or random values where it has none. An unknown word gets the mean of
    the vectors of the training words.

    Arguments
    ---------
    embedding_size : int
        Features of a word.
    glove_file : str or None
        A GloVe text file with as many values a line.

    Example
    -------
    >>> embedding = WordEmbedding(embedding_size=5)
    >>> embedding.fit_vocabulary(["i", "like", "apple"])
    >>> embedding([["i", "like"], ["pear"]]).shape
    torch.Size([3, 5])
    """

    def __init__(self, embedding_size=300, glove_file=None):
        super().__init__()
        self.output_size = embedding_size
        self.glove_file = glove_file
        self._set_words([UNKNOWN])

    def _set_words(self, words):
        self.index = {word: i for i, word in enumerate(words)}
        vectors = torch.zeros(len(words), self.output_size)
        self.weight = torch.nn.Parameter(vectors)

    def fit_vocabulary(self, train_words, other_words=()):
        """Sets the vocabulary and initialises its vectors.

        Arguments
        ---------
        train_words : iterable of str
            Running words of the training set: all of them get a vector.
        other_words : iterable of str
            Running words of the validation and test set: they get a vector
            where GloVe has one. Nothing is learnt from them.
        """
        counts = Counter(train_words)
        known = sorted(counts)
        counts.update(other_words)
        vectors = self._pretrained(counts)
        others = sorted(vectors.keys() - set(known))
        # Training words come first: what they draw, and what is drawn after
        # them, is the same whatever the others are.
        self._set_words([UNKNOWN, *known, *others])
        trained = slice(1, 1 + len(known))
        with torch.no_grad():
            self.weight[trained].normal_(std=RANDOM_STD)
            for word, vector in vectors.items():
                self.weight[self.index[word]] = vector
            self.weight[0] = self.weight[trained].mean(dim=0)

    def _pretrained(self, counts):
        """Vectors of the words that GloVe has; reports its coverage."""
        if self.glove_file is None:
            logger.warning_once(
                "No glove_file is given: word vectors start at random values. "
                "The paper starts from GloVe; set --glove_file=<file>."
            )
            return {}
        pieces = {word: split_contraction(word) for word in counts}
        wanted = set(counts).union(*pieces.values())
        glove = read_glove(self.glove_file, wanted, self.output_size)
        vectors = {}
        for word in sorted(counts):
            found = [word] if word in glove else pieces[word]
            found = [glove[piece] for piece in found if piece in glove]
            if found:
                vectors[word] = torch.stack(found).mean(dim=0)
        if not vectors:
            raise ValueError(f"{self.glove_file}: has no word of the corpus")
        covered = sum(counts[word] for word in vectors)
        logger.info(
            f"GloVe covers {len(vectors)} of {len(counts)} distinct words and "
            f"{covered / sum(counts.values()):.1%} of the running words"
        )
        return vectors

    def forward(self, words):
        """Looks words up.

        Arguments
        ---------
        words : list of list of str
            The words of each utterance.

        Returns
        -------
        torch.Tensor
            Flat word vectors, shape ``[words of the batch, embedding_size]``.
        """
        rows = [
            self.index.get(word, 0) for utterance in words for word in utterance
        ]
        return torch.nn.functional.embedding(
            torch.tensor(rows, device=self.weight.device), self.weight
        )

    def get_extra_state(self):
        """The vocabulary, for the checkpoint."""
        return list(self.index)

    def set_extra_state(self, state):
        """Nothing is left to do: see ``_load_from_state_dict``."""

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        # The table must have the size of the loaded one before it is filled,
        # and stay the same parameter where the optimizer holds it already.
        words = state_dict.get(prefix + "_extra_state")
        if words is not None and words != list(self.index):
            device = self.weight.device
            self._set_words(words)
            self.to(device)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


class WordBLSTM(torch.nn.Module):
    """The paper's text encoder: embedding, BLSTM over words, dropout.

    With the defaults and V words in the vocabulary, ``<unk>`` among them, it
    has ``300 V + 440,320`` parameters.

    Arguments
    ---------
    embedding : WordEmbedding
        Or another module from lists of words to flat word vectors.
    hidden_size : int
        Units of each direction.
    dropout : float
        Probability.

    Example
    -------
    >>> encoder = WordBLSTM(WordEmbedding(300), hidden_size=128)
    >>> encoder.fit_vocabulary(["i", "like", "apple"])
    >>> encoder([["i", "like"], ["apple"]]).shape
    torch.Size([2, 2, 256])
    """

    def __init__(self, embedding, hidden_size=128, dropout=0.3):
        super().__init__()
        self.embedding = embedding
        self.blstm = RaggedBLSTM(embedding.output_size, hidden_size)
        self.dropout = torch.nn.Dropout(dropout)
        self.output_size = self.blstm.output_size

    def fit_vocabulary(self, train_words, other_words=()):
        """See ``WordEmbedding.fit_vocabulary``."""
        self.embedding.fit_vocabulary(train_words, other_words)

    def forward(self, words):
        """Encodes the words of a batch (eqs 1-3).

        Arguments
        ---------
        words : list of list of str
            The words of each utterance.

        Returns
        -------
        torch.Tensor
            H^(T), shape ``[batch, words, 2 * hidden_size]``, zero where an
            utterance has no more words.
        """
        vectors = self.embedding(words)
        counts = count_words(words, vectors.device)
        return pad(self.dropout(self.blstm(vectors, counts)), counts)
