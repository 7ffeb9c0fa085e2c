"""Pretrained text encoders from Hugging Face, pooled to words (extra
``huggingface``)."""

import hashlib
from pathlib import Path

import numpy as np
import torch

from speechbrain.integrations.huggingface.textencoder import TextEncoder
from speechbrain_can.hub import PretrainedError
from speechbrain_can.integrations.loading import (
    PretrainedModule,
    load_pretrained,
    model_version,
)
from speechbrain_can.integrations.word_store import VERSION, WordStore
from speechbrain_can.lobes.pooling import MeanPooling
from speechbrain_can.lobes.ragged import count_words

# Utterances to which evaluation adds more, such as a validation set's.
STORED_UNTRAINED = 20_000


# Subwords at a time where neither model nor tokenizer has a limit.
UNLIMITED = 4096


class _TextEncoder(TextEncoder):
    """Keeps its tokenizer where it keeps its model."""

    def __init__(self, source, save_path, **options):
        self._save_path = save_path
        super().__init__(source, save_path, **options)

    def load_tokenizer(self, source, **options):
        """See ``TextEncoder.load_tokenizer``."""
        # RoBERTa's first word is another one without a space before it.
        super().load_tokenizer(
            source,
            cache_dir=self._save_path,
            add_prefix_space=True,
            **options,
        )


class PretrainedWords(PretrainedModule):
    """Words as a pretrained text encoder has them, pooled from its subwords.

    It stands where ``WordEmbedding`` does. An utterance is read as one
    sentence. One with more subwords than the model has positions is read in
    several pieces, cut between words; of a single word that does not fit only
    the first subwords are read. A word without any subword counts as unknown.

    Arguments
    ---------
    source : str
        A name on the hub, such as ``roberta-base``, or a folder.
    save_path : str
        Where downloads are kept.
    freeze : bool
        Whether it stays as it is. It reads an utterance in every epoch all the
        same.
    pooling : type
        From flat subwords and their counts to words, such as ``MeanPooling``.

    Raises
    ------
    PretrainedError
        If the model cannot be loaded, has a decoder too, or its tokenizer does
        not tell which subword belongs to which word.

    Example
    -------
    >>> embedding = PretrainedWords(  # doctest: +SKIP
    ...     "FacebookAI/roberta-base", save_path="pretrained"
    ... )
    >>> embedding([["oh", "really"], ["yes"]]).shape  # doctest: +SKIP
    torch.Size([3, 768])
    """

    def __init__(self, source, save_path, freeze=True, pooling=MeanPooling):
        encoder = load_pretrained(
            lambda place: _TextEncoder(place, save_path, freeze=freeze),
            source,
            save_path,
        )
        if not encoder.tokenizer.is_fast:
            raise PretrainedError(
                f"the tokenizer of {source!r} does not tell which subword "
                "belongs to which word; give a model with a fast tokenizer"
            )
        if encoder.model.config.is_encoder_decoder:
            raise PretrainedError(
                f"{source!r} has a decoder, which reads no text; give a model "
                "that is an encoder alone"
            )
        super().__init__(encoder, freeze)
        self.pooling = pooling(encoder.model.config.hidden_size)
        self.output_size = self.pooling.output_size
        self.max_subwords = _max_subwords(encoder)

    @property
    def tokenizer(self):
        """The model's own."""
        return self.encoder.tokenizer

    def fit_vocabulary(self, train_words, other_words=()):
        """Nothing is learnt: its subwords are the model's own."""

    def forward(self, words):
        """Vectors of words.

        Arguments
        ---------
        words : list of list of str
            The words of each utterance.

        Returns
        -------
        torch.Tensor
            Flat word vectors, shape ``[words of the batch, features]``.
        """
        hidden, counts = self._read(words)
        like = next(self.encoder.parameters())
        return self.pooling(hidden.to(like), counts.to(like.device))

    def _read(self, words):
        """Subwords of all words and how many each word has."""
        pieces = [
            piece for utterance in words for piece in self._cut(list(utterance))
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
        # None stands for special subwords and padding
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
        return hidden[real.to(hidden.device)], counts.to(hidden.device)

    def _cut(self, utterance):
        """Cuts words into pieces that fit."""
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


def _max_subwords(encoder):
    """Subwords that fit beside the special ones."""
    positions = getattr(encoder.model.config, "max_position_embeddings", None)
    if not positions or positions < 0:
        positions = encoder.tokenizer.model_max_length
    # The positions of RoBERTa and its kin begin after that of the padding.
    for name, module in encoder.model.named_modules():
        if name.endswith("position_embeddings"):
            if getattr(module, "padding_idx", None) is not None:
                positions -= module.padding_idx + 1
    positions = min(positions, encoder.tokenizer.model_max_length, UNLIMITED)
    return positions - encoder.tokenizer.num_special_tokens_to_add()


class StoredWords(PretrainedWords):
    """A frozen ``PretrainedWords`` that reads each utterance once.

    What it found is in a SQLite file in ``save_path``, for all folds and
    experiments: 4 bytes a feature and word (0.3 GB for IEMOCAP with 768 features;
    ``AttentionPooling`` stores subwords).

    Arguments
    ---------
    source : str
        A name on the hub, such as ``roberta-base``, or a folder.
    save_path : str
        Where downloads and what was read are kept.
    pooling : type
        ``MeanPooling`` or ``AttentionPooling``.

    Example
    -------
    >>> embedding = StoredWords(  # doctest: +SKIP
    ...     "FacebookAI/roberta-base", save_path="pretrained"
    ... )
    >>> embedding([["oh", "really"], ["yes"]]).shape  # doctest: +SKIP
    torch.Size([3, 768])
    """

    def __init__(self, source, save_path, pooling=MeanPooling):
        super().__init__(source, save_path, True, pooling)
        version = model_version(source, save_path)
        means = isinstance(self.pooling, MeanPooling)
        settings = (VERSION, source, version, means)
        digest = hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
        self._store = WordStore(Path(save_path) / "words" / f"{digest}.sqlite")

    def _read(self, words):
        # Epochs come back to an utterance, prediction does not.
        limit = None if self.training else STORED_UNTRAINED
        found = self._store.fetch(words, self._read_one, limit)
        hidden, counts = (
            torch.from_numpy(np.concatenate(parts)) for parts in zip(*found)
        )
        return hidden.unflatten(0, (-1, self.pooling.output_size)), counts

    @torch.no_grad()
    def _read_one(self, utterance):
        # One by one and in full precision: what is stored depends neither on
        # the other utterances of a batch nor on how it is trained.
        device = next(self.encoder.parameters()).device
        with torch.autocast(device.type, enabled=False):
            hidden, counts = super()._read([utterance])
        hidden, counts = self._shrink(hidden.cpu(), counts.cpu())
        return hidden.float().flatten().numpy(), counts.numpy()

    def _shrink(self, hidden, counts):
        """The mean can be taken before keeping, other poolings cannot."""
        if isinstance(self.pooling, MeanPooling):
            return self.pooling(hidden, counts), torch.ones_like(counts)
        return hidden, counts
