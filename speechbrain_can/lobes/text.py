"""Text encoders: map the words of a batch to ``[batch, words, features]``."""

import re
from collections import Counter
from typing import Dict, Iterable, List, Optional, Sequence, Set, Tuple

import torch

from speechbrain.utils.logger import get_logger
from speechbrain_can.lobes.ragged import RaggedBLSTM, count_words, pad, send

logger = get_logger(__name__)

UNKNOWN = "<unk>"
# Standard deviation of GloVe's values, for words without a vector
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


def split_contraction(word: str) -> Tuple[str, ...]:
    """Split a lower-case word like the Penn Treebank and GloVe.

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


def read_glove(
    path: str, tokens: Set[str], size: int
) -> Dict[str, torch.Tensor]:
    """Read the vectors of some tokens from a GloVe text file.

    Arguments
    ---------
    path : str or Path
        File with lines ``token value ... value``.
    tokens : set of str
        Tokens to read; other lines are not parsed.
    size : int
        Number of values per line.

    Returns
    -------
    dict of str: torch.Tensor
        Vectors ``[size]`` of the tokens found.

    Raises
    ------
    ValueError
        If a line has a different number of values or a non-finite value.
    """
    vectors = {}
    with open(path, encoding="utf-8-sig", newline="\n") as stream:
        for number, line in enumerate(stream, start=1):
            token, _, rest = line.rstrip("\n").partition(" ")
            if number == 1 and rest.strip().isdigit():
                continue  # header of word2vec: number of words and size
            # Always parse the first line to detect a wrong size.
            if token not in tokens and number > 1:
                continue
            values = rest.split()
            if len(values) != size:
                # GloVe 840B contains tokens with spaces (". . ."); ignore them.
                if len(values) > size and number > 1:
                    continue
                raise ValueError(
                    f"{path}, line {number}: {token!r} has {len(values)} "
                    f"values, but embedding_size is {size}"
                )
            try:
                vector = torch.tensor([float(v) for v in values])
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: {error}")
            if not vector.isfinite().all():
                raise ValueError(f"{path}, line {number}: non-finite values")
            if token in tokens:
                vectors[token] = vector
    return vectors


class WordEmbedding(torch.nn.Module):
    """Trainable word vectors, optionally initialized from GloVe.

    ``fit_vocabulary`` sets the vocabulary, which is stored with the weights, so that
    checkpoints are self-contained. A word that GloVe lacks gets the mean vector of
    those of its Treebank tokens that GloVe contains ("i" and "'m" for "i'm"), or
    random values. Unknown words get the mean vector of the training words.

    Arguments
    ---------
    embedding_size : int
        Features per word.
    glove_file : str or None
        GloVe text file with ``embedding_size`` values per line.

    Example
    -------
    >>> embedding = WordEmbedding(embedding_size=5)
    >>> embedding.fit_vocabulary(["i", "like", "apple"])
    >>> embedding([["i", "like"], ["pear"]]).shape
    torch.Size([3, 5])
    """

    def __init__(
        self, embedding_size: int = 300, glove_file: Optional[str] = None
    ):
        super().__init__()
        self.output_size = embedding_size
        self.glove_file = glove_file
        self._set_words([UNKNOWN])

    def _set_words(self, words):
        self.index = {word: i for i, word in enumerate(words)}
        vectors = torch.zeros(len(words), self.output_size)
        self.weight = torch.nn.Parameter(vectors)

    def fit_vocabulary(
        self, train_words: Iterable[str], other_words: Iterable[str] = ()
    ) -> None:
        """Set the vocabulary and initialize its vectors.

        Arguments
        ---------
        train_words : iterable of str
            Running words of the training set; all of them get a vector.
        other_words : iterable of str
            Running words of the validation and test set, which get a vector only if
            GloVe contains it. Nothing is learned from them.
        """
        counts = Counter(train_words)
        known = sorted(counts)
        counts.update(other_words)
        # Words that an aligner did not know have the vector of unknown words.
        del counts[UNKNOWN]
        known = [word for word in known if word != UNKNOWN]
        vectors = self._pretrained(counts)
        others = sorted(vectors.keys() - set(known))
        # Training words come first, so that random numbers do not depend on
        # the other words.
        self._set_words([UNKNOWN, *known, *others])
        trained = slice(1, 1 + len(known))
        with torch.no_grad():
            self.weight[trained].normal_(std=RANDOM_STD)
            for word, vector in vectors.items():
                self.weight[self.index[word]] = vector
            self.weight[0] = self.weight[trained].mean(dim=0)

    def _pretrained(self, counts: Counter) -> Dict[str, torch.Tensor]:
        """Return the vectors of words in GloVe and log its coverage."""
        if self.glove_file is None:
            logger.warning_once(
                "No glove_file: word vectors are initialized randomly. The paper "
                "uses GloVe; set --glove_file=<file>."
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
            raise ValueError(
                f"{self.glove_file} contains none of the words of the corpus"
            )
        covered = sum(counts[word] for word in vectors)
        logger.info(
            f"GloVe covers {len(vectors)} of {len(counts)} distinct words and "
            f"{covered / sum(counts.values()):.1%} of the running words"
        )
        return vectors

    def forward(self, words: Sequence[Sequence[str]]) -> torch.Tensor:
        """Return flat word vectors, ``[words of the batch, embedding_size]``."""
        rows = [
            self.index.get(word, 0) for utterance in words for word in utterance
        ]
        return torch.nn.functional.embedding(
            send(torch.tensor(rows), self.weight.device), self.weight
        )

    def get_extra_state(self) -> List[str]:
        """Return the vocabulary."""
        return list(self.index)

    def set_extra_state(self, state: List[str]) -> None:
        """Do nothing; see ``_load_from_state_dict``."""

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        # Resize the table before loading. If the vocabulary is unchanged, keep
        # the parameter, which the optimizer may reference.
        words = state_dict.get(prefix + "_extra_state")
        if words is not None and words != list(self.index):
            vectors = state_dict[prefix + "weight"]
            if not isinstance(words, list) or len(set(words)) != len(vectors):
                raise ValueError("the vocabulary does not match the vectors")
            device = self.weight.device
            self._set_words(words)
            self.to(device)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def vocabulary_of(module: torch.nn.Module) -> Optional[Dict[str, int]]:
    """Return the vocabulary of a model with word vectors, or None."""
    for part in module.modules():
        if isinstance(part, WordEmbedding):
            return part.index
    return None


class WordBLSTM(torch.nn.Module):
    """Text encoder of the paper: embedding, BLSTM over words, dropout.

    With the defaults and a vocabulary of V words, including ``<unk>``, there are
    ``300 V + 440,320`` parameters.

    Arguments
    ---------
    embedding : WordEmbedding
        Or another module that maps lists of words to flat word vectors.
    hidden_size : int
        Units per direction.
    dropout : float
        Dropout probability.

    Example
    -------
    >>> encoder = WordBLSTM(WordEmbedding(300), hidden_size=128)
    >>> encoder.fit_vocabulary(["i", "like", "apple"])
    >>> encoder([["i", "like"], ["apple"]]).shape
    torch.Size([2, 2, 256])
    """

    def __init__(
        self,
        embedding: torch.nn.Module,
        hidden_size: int = 128,
        dropout: float = 0.3,
    ):
        super().__init__()
        self.embedding = embedding
        self.blstm = RaggedBLSTM(embedding.output_size, hidden_size)
        self.dropout = torch.nn.Dropout(dropout)
        self.output_size = self.blstm.output_size

    def fit_vocabulary(
        self, train_words: Iterable[str], other_words: Iterable[str] = ()
    ) -> None:
        """Set the vocabulary of the embedding; see ``WordEmbedding``."""
        self.embedding.fit_vocabulary(train_words, other_words)

    def forward(self, words: Sequence[Sequence[str]]) -> torch.Tensor:
        """Return H^(T), ``[batch, words, 2 * hidden_size]``, with zeros as padding."""
        vectors = self.embedding(words)
        counts = count_words(words)
        return pad(self.dropout(self.blstm(vectors, counts)), counts)
