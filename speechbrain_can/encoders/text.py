"""Pretrained text encoders from Hugging Face, pooled to words (extra ``huggingface``)."""

from pathlib import Path
from typing import Callable, Sequence

import numpy as np
import torch

from speechbrain.integrations.huggingface.textencoder import TextEncoder
from speechbrain_can.encoders.hub import PretrainedError
from speechbrain_can.encoders.loading import (
    PretrainedModule,
    load_pretrained,
    model_version,
)
from speechbrain_can.encoders.word_store import VERSION, WordStore
from speechbrain_can.io.integrity import fingerprint
from speechbrain_can.lobes.pooling import MeanPooling
from speechbrain_can.lobes.ragged import count_words, send
from speechbrain_can.lobes.text import UNKNOWN

# Maximum number of cached utterances outside of training, such as validation sets
STORED_UNTRAINED = 20_000

# Maximum number of subwords if neither model nor tokenizer has a limit
UNLIMITED = 4096


class _TextEncoder(TextEncoder):
    """Text encoder that uses the same cache folder for tokenizer and model."""

    def __init__(self, source, save_path, **options):
        self._save_path = save_path
        super().__init__(source, save_path, **options)

    def load_tokenizer(self, source, **options):
        """Load the tokenizer; see ``TextEncoder.load_tokenizer``."""
        # RoBERTa has different tokens for words without a preceding space.
        super().load_tokenizer(
            source,
            cache_dir=self._save_path,
            add_prefix_space=True,
            trust_remote_code=False,
            **options,
        )


class PretrainedWords(PretrainedModule):
    """Word vectors of a pretrained text encoder, pooled over subwords.

    Replaces ``WordEmbedding``. The encoder reads an utterance as one sentence. If it
    has more subwords than the model has positions, it is split between words; a
    single word that does not fit is truncated. Words without subwords are replaced
    by the unknown token.

    Arguments
    ---------
    source : str
        A name on the hub, such as ``roberta-base``, or a folder.
    save_path : str
        Download folder.
    freeze : bool
        Whether the encoder is frozen. It still encodes each utterance in every
        epoch; see ``StoredWords``.
    pooling : callable
        Maps flat subwords and their counts to words, such as ``MeanPooling``.

    Raises
    ------
    PretrainedError
        If the model cannot be loaded, is an encoder-decoder, or its tokenizer
        does not provide the alignment of subwords and words.

    Example
    -------
    >>> embedding = PretrainedWords(  # doctest: +SKIP
    ...     "FacebookAI/roberta-base", save_path="pretrained"
    ... )
    >>> embedding([["oh", "really"], ["yes"]]).shape  # doctest: +SKIP
    torch.Size([3, 768])
    """

    def __init__(
        self,
        source: str,
        save_path: str,
        freeze: bool = True,
        pooling: Callable = MeanPooling,
    ):
        encoder = load_pretrained(
            lambda place: _TextEncoder(place, save_path, freeze=freeze),
            source,
            save_path,
        )
        if not encoder.tokenizer.is_fast:
            raise PretrainedError(
                f"the tokenizer of {source!r} does not align subwords with words. "
                "Use a model with a fast tokenizer."
            )
        if encoder.model.config.is_encoder_decoder:
            raise PretrainedError(
                f"{source!r} is an encoder-decoder model. Use an encoder-only "
                "model."
            )
        super().__init__(encoder, freeze)
        self.pooling = pooling(encoder.model.config.hidden_size)
        self.output_size = self.pooling.output_size
        self.max_subwords = _max_subwords(encoder)

    @property
    def tokenizer(self):
        """Return the tokenizer of the model."""
        return self.encoder.tokenizer

    def fit_vocabulary(
        self, train_words: Sequence[str], other_words: Sequence[str] = ()
    ) -> None:
        """Do nothing; the subwords of the model are fixed."""

    def forward(self, words: Sequence[Sequence[str]]) -> torch.Tensor:
        """Return flat word vectors, ``[words of the batch, features]``."""
        hidden, counts = self._encode(words)
        like = next(self.encoder.parameters())
        return self.pooling(hidden.to(like), counts)

    def _encode(self, words):
        """Return subword vectors, and the number of subwords of each word."""
        unknown = self.tokenizer.unk_token
        pieces = [
            piece
            for utterance in words
            for piece in self._cut(
                [unknown if word == UNKNOWN else word for word in utterance]
            )
        ]
        model = self.encoder.model
        encoded = self.tokenizer(
            pieces,
            is_split_into_words=True,
            truncation=True,
            max_length=self.max_subwords
            + self.tokenizer.num_special_tokens_to_add(),
            padding=True,
            return_tensors="pt",
        )
        # None marks special subwords and padding
        owners = [encoded.word_ids(i) for i in range(len(pieces))]
        hidden = model(**encoded.to(model.device)).last_hidden_state
        real = torch.tensor([[o is not None for o in row] for row in owners])
        first = torch.cumsum(count_words(pieces), 0) - count_words(pieces)
        rows = torch.tensor(
            [
                int(start) + owner
                for start, row in zip(first, owners)
                for owner in row
                if owner is not None
            ]
        )
        counts = torch.bincount(rows, minlength=sum(map(len, pieces)))
        real = send(real.flatten().nonzero().flatten(), hidden.device)
        return hidden.flatten(0, 1).index_select(0, real), counts

    def _cut(self, utterance: list[str]) -> list[list[str]]:
        """Split words into pieces that fit the model."""
        encoded = self.tokenizer(
            utterance, is_split_into_words=True, add_special_tokens=False
        )
        counts = [0] * len(utterance)
        for owner in encoded.word_ids():
            counts[owner] += 1
        pieces, room = [], 0
        for word, count in zip(utterance, counts):
            word = word if count else self.tokenizer.unk_token
            count = min(max(count, 1), self.max_subwords)
            if count > room:
                pieces.append([])
                room = self.max_subwords
            pieces[-1].append(word)
            room -= count
        return pieces


def _max_subwords(encoder: TextEncoder) -> int:
    """Return the number of subwords that fit in addition to special ones."""
    positions = getattr(encoder.model.config, "max_position_embeddings", None)
    if not positions or positions < 0:
        positions = encoder.tokenizer.model_max_length
    # Positions of RoBERTa and similar models start after the padding index.
    for name, module in encoder.model.named_modules():
        if name.endswith("position_embeddings"):
            if getattr(module, "padding_idx", None) is not None:
                positions -= module.padding_idx + 1
    positions = min(positions, encoder.tokenizer.model_max_length, UNLIMITED)
    return positions - encoder.tokenizer.num_special_tokens_to_add()


class StoredWords(PretrainedWords):
    """Frozen ``PretrainedWords`` with an on-disk cache.

    The vectors of an utterance are stored in a SQLite file in ``save_path`` that all
    folds and experiments share. It needs 4 bytes per feature and word (0.3 GB for
    IEMOCAP with 768 features); with ``AttentionPooling``, per subword.

    Arguments
    ---------
    source : str
        A name on the hub, such as ``roberta-base``, or a folder.
    save_path : str
        Download and cache folder.
    pooling : callable
        ``MeanPooling`` or ``AttentionPooling``.

    Example
    -------
    >>> embedding = StoredWords(  # doctest: +SKIP
    ...     "FacebookAI/roberta-base", save_path="pretrained"
    ... )
    >>> embedding([["oh", "really"], ["yes"]]).shape  # doctest: +SKIP
    torch.Size([3, 768])
    """

    def __init__(
        self, source: str, save_path: str, pooling: Callable = MeanPooling
    ):
        super().__init__(source, save_path, True, pooling)
        version = model_version(source, save_path)
        means = isinstance(self.pooling, MeanPooling)
        settings = (VERSION, source, version, means)
        name = f"{fingerprint(*settings)}.sqlite"
        self._store = WordStore(Path(save_path) / "words" / name)

    def _encode(self, words):
        # Training repeats utterances, prediction does not.
        limit = None if self.training else STORED_UNTRAINED
        found = self._store.fetch(words, self._encode_one, limit)
        hidden, counts = (
            torch.from_numpy(np.concatenate(parts)) for parts in zip(*found)
        )
        return hidden.unflatten(0, (-1, self.pooling.output_size)), counts

    @torch.no_grad()
    def _encode_one(self, utterance):
        # Encode separately and in full precision, so that cached vectors depend
        # neither on the batch nor on the precision of training.
        device = next(self.encoder.parameters()).device
        with torch.autocast(device.type, enabled=False):
            hidden, counts = super()._encode([utterance])
        hidden, counts = self._shrink(hidden.cpu(), counts)
        return hidden.float().flatten().numpy(), counts.numpy()

    def _shrink(
        self, hidden: torch.Tensor, counts: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Pool before storing, which is possible for the mean only."""
        if isinstance(self.pooling, MeanPooling):
            return self.pooling(hidden, counts), torch.ones_like(counts)
        return hidden, counts
