"""Word vectors from SentencePiece subwords trained on the training text."""

from pathlib import Path
from typing import Dict, Iterable, Optional, Sequence

import torch
from sentencepiece import SentencePieceProcessor

from speechbrain.tokenizers.SentencePiece import SentencePiece
from speechbrain.utils.distributed import run_on_main
from speechbrain_can.lobes.pooling import MeanPooling
from speechbrain_can.lobes.ragged import send
from speechbrain_can.lobes.text import UNKNOWN

MOST_PIECES = 500


class SubwordEmbedding(torch.nn.Module):
    """Trainable vectors of SentencePiece subwords, pooled to words.

    Words that do not occur in training are composed of subwords that do; only
    unseen characters are unknown. Replaces ``WordEmbedding`` without pretrained
    vectors, for any language. There are ``vocab_size * embedding_size`` parameters.

    Arguments
    ---------
    model_folder : str
        Folder in which SpeechBrain's tokenizer is trained, once per fold.
    vocab_size : int
        Number of subwords.
    embedding_size : int
        Features per word.
    model_type : str
        ``unigram``, ``bpe`` or ``char``; ``char`` may leave rows unused.

    Example
    -------
    >>> import tempfile
    >>> embedding = SubwordEmbedding(
    ...     tempfile.mkdtemp(), vocab_size=7, embedding_size=5
    ... )
    >>> embedding.fit_vocabulary(["ab", "abc", "bc", "cab"])
    >>> embedding([["ab", "cc"], ["cabbac"]]).shape
    torch.Size([3, 5])
    """

    def __init__(
        self,
        model_folder: str,
        vocab_size: int = 500,
        embedding_size: int = 300,
        model_type: str = "unigram",
    ):
        super().__init__()
        self.model_folder = Path(model_folder)
        self.vocab_size = vocab_size
        self.model_type = model_type
        self.output_size = embedding_size
        self.weight = torch.nn.Parameter(
            torch.empty(vocab_size, embedding_size).normal_(std=0.1)
        )
        self.pooling = MeanPooling(embedding_size)
        self.tokenizer = None

    def fit_vocabulary(
        self, train_words: Iterable[str], other_words: Iterable[str] = ()
    ) -> None:
        """Train the tokenizer on the running words of the training set.

        ``other_words`` are ignored. Raises ``ValueError`` if the text has fewer distinct
        subwords or more characters than ``vocab_size``.
        """
        model = run_on_main(self._train_tokenizer, args=[train_words])
        self.tokenizer = SentencePieceProcessor(model_proto=model)

    def _train_tokenizer(self, train_words):
        text = self.model_folder / "train.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        lines = (word for word in train_words if word != UNKNOWN)
        text.write_text("\n".join(lines), encoding="utf-8")
        # SpeechBrain would load an existing model, even of a different text.
        for file in self.model_folder.glob("*.model"):
            file.unlink()
        try:
            tokenizer = SentencePiece(
                str(self.model_folder),
                self.vocab_size,
                text_file=text,
                model_type=self.model_type,
            )
        except RuntimeError as error:
            raise ValueError(
                f"SentencePiece cannot split the training text into "
                f"{self.vocab_size} subwords ({error}). Set another "
                "--vocab_size."
            ) from error
        n_pieces = tokenizer.sp.get_piece_size()
        if n_pieces > self.vocab_size:
            raise ValueError(
                f"the training text has {n_pieces} distinct characters. Set "
                f"--vocab_size={n_pieces}."
            )
        return tokenizer.sp.serialized_model_proto()

    def forward(self, words: Sequence[Sequence[str]]) -> torch.Tensor:
        """Return flat word vectors, ``[words of the batch, embedding_size]``.

        Of a word, the first ``MOST_PIECES`` subwords are used.
        """
        pieces = self.tokenizer.encode(
            [
                "" if word == UNKNOWN else word
                for utterance in words
                for word in utterance
            ]
        )
        # words of whitespace and unknown words have no subwords and are unknown
        unknown = [self.tokenizer.unk_id()]
        pieces = [ids[:MOST_PIECES] or unknown for ids in pieces]
        device = self.weight.device
        rows = send(torch.tensor([i for ids in pieces for i in ids]), device)
        counts = torch.tensor([len(ids) for ids in pieces])
        return self.pooling(
            torch.nn.functional.embedding(rows, self.weight), counts
        )

    def get_extra_state(self) -> Dict[str, Optional[bytes]]:
        """Return the tokenizer, so that checkpoints are self-contained."""
        model = self.tokenizer and self.tokenizer.serialized_model_proto()
        return {"tokenizer": model}

    def set_extra_state(self, state: Dict[str, Optional[bytes]]) -> None:
        """Restore the tokenizer."""
        if state["tokenizer"] is not None:
            tokenizer = SentencePieceProcessor(model_proto=state["tokenizer"])
            if not 0 < tokenizer.get_piece_size() <= len(self.weight):
                raise ValueError("the tokenizer does not match the vectors")
            self.tokenizer = tokenizer
