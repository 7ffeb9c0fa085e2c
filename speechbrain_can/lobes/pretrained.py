"""Pretrained encoders from Hugging Face, pooled to words (extra
``huggingface``).

A name on the hub or a folder is all that they need; SpeechBrain's own
integration loads them. A frozen one is no part of a checkpoint: it is what its
source says.

Authors
 * The speechbrain-can developers 2026
"""

import hashlib
import math
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import try_to_load_from_cache

from speechbrain.integrations.huggingface.textencoder import TextEncoder
from speechbrain_can.lobes.audio import LayerWeights
from speechbrain_can.lobes.pooling import MeanPooling, frames_of_words
from speechbrain_can.lobes.ragged import count_words
from speechbrain_can.word_store import WordStore

# Utterances to which evaluation adds more, such as a validation set's.
STORED_UNTRAINED = 20_000

# Subwords at a time where neither model nor tokenizer has a limit.
UNLIMITED = 4096


class PretrainedError(ValueError):
    """A pretrained model that cannot be used; the message says what to do."""


def load_pretrained(build, source):
    """Builds a part that loads a pretrained model.

    Arguments
    ---------
    build : callable
        Takes nothing and loads.
    source : str
        What it loads, for the message.

    Returns
    -------
    object
        What ``build`` returns.

    Raises
    ------
    PretrainedError
        If there is no such model, or none that can be loaded offline.
    """
    try:
        return build()
    # The hub, its cache and the model classes raise many kinds of errors.
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise PretrainedError(
            f"{source!r} cannot be loaded ({reason}). Give the name of a model "
            "on the Hugging Face hub or, where there is no network, the folder "
            "of one that save_pretrained wrote together with its tokenizer or "
            "feature extractor"
        ) from error


def model_version(source, save_path):
    """Which one of the models of that name: it may come to mean another.

    Arguments
    ---------
    source : str
        A name on the hub, loaded before, or a folder.
    save_path : str
        Where downloads are kept.

    Returns
    -------
    list or str
        The files of a folder; the commit of a name.
    """
    if Path(source).is_dir():
        return [
            (file.name, file.stat().st_size, file.stat().st_mtime_ns)
            for file in sorted(Path(source).glob("*"))
            if file.is_file()
        ]
    # The hub's cache keeps each commit in a folder of its own.
    config = try_to_load_from_cache(source, "config.json", cache_dir=save_path)
    return Path(config).parent.name


class _Pretrained(torch.nn.Module):
    """Holds an encoder: as a part that is trained, or frozen beside them.

    A frozen one moves between devices with the rest, but it is not saved and
    stays in evaluation: SpeechBrain's own would drop units out while it trains.
    """

    def __init__(self, encoder, freeze):
        super().__init__()
        # Some are published in half precision, which the rest is not in.
        encoder = encoder.float()
        self._frozen = ()
        if freeze:
            self._frozen = (encoder.eval().requires_grad_(False),)
        else:
            self.trained = encoder

    @property
    def encoder(self):
        return self._frozen[0] if self._frozen else self.trained

    def _apply(self, function, recurse=True):
        for encoder in self._frozen:
            encoder._apply(function, recurse)
        return super()._apply(function, recurse)


class _TextEncoder(TextEncoder):
    """Keeps its tokenizer where it keeps its model."""

    def __init__(self, source, save_path, **options):
        self._save_path = save_path
        super().__init__(source, save_path, **options)

    def load_tokenizer(self, source, **options):
        # RoBERTa's first word is another one without a space before it.
        super().load_tokenizer(
            source,
            cache_dir=self._save_path,
            add_prefix_space=True,
            **options,
        )


class PretrainedWords(_Pretrained):
    """Words as a pretrained text encoder has them, pooled from its subwords.

    It stands where ``WordEmbedding`` does. An utterance is read as one
    sentence. One with more subwords than the model has positions is read in
    several pieces, cut between words; of a single word that does not fit only
    the first subwords are read. A word without any subword counts as unknown.

    Frozen, it reads every utterance once and stores what it found in a SQLite
    file in ``save_path``, for all folds and experiments: 4 bytes a feature and
    word (0.3 GB for IEMOCAP with 768 features; ``AttentionPooling`` stores
    subwords).

    Arguments
    ---------
    source : str
        A name on the hub, such as ``roberta-base``, or a folder.
    save_path : str
        Where downloads and what was read are kept.
    freeze : bool
        Whether it stays as it is.
    pooling : type
        ``MeanPooling`` or ``AttentionPooling``.

    Raises
    ------
    PretrainedError
        If the model cannot be loaded, has a decoder too, or its tokenizer does
        not tell which subword belongs to which word.
    """

    def __init__(self, source, save_path, freeze=True, pooling=MeanPooling):
        encoder = load_pretrained(
            lambda: _TextEncoder(source, save_path, freeze=freeze), source
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
        version = model_version(source, save_path)
        settings = (source, version, isinstance(self.pooling, MeanPooling))
        digest = hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
        self._store = WordStore(Path(save_path) / "words" / f"{digest}.sqlite")

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
        if self._frozen:
            hidden, counts = self._stored(words)
        else:
            hidden, counts = self._read(words)
        like = next(self.encoder.parameters())
        return self.pooling(hidden.to(like), counts.to(like.device))

    def _stored(self, words):
        """Subwords of all words and how many each word has, read but once."""
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
            hidden, counts = self._read([utterance])
        hidden, counts = self._shrink(hidden.cpu(), counts.cpu())
        return hidden.float().flatten().numpy(), counts.numpy()

    def _shrink(self, hidden, counts):
        """The mean can be taken before keeping, other poolings cannot."""
        if isinstance(self.pooling, MeanPooling):
            return self.pooling(hidden, counts), torch.ones_like(counts)
        return hidden, counts

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


class FrontEnd(_Pretrained):
    """A self-supervised speech model of SpeechBrain's, one utterance at a time.

    Alone an utterance needs no padding, which these models do not mask all
    alike, and is normalised by itself: what it gets depends on no other.

    Arguments
    ---------
    build : callable
        Builds one of ``speechbrain.integrations.huggingface``: ``Wav2Vec2``,
        ``HuBERT``, ``WavLM``, or ``Whisper`` with ``encoder_only``. In YAML it
        is a ``!name:`` with ``source``, ``save_path`` and whatever else it
        takes; ``freeze`` belongs to this class.
    sample_rate : int
        Rate in Hz of what it will hear.
    freeze : bool
        Whether it stays as it is.

    Raises
    ------
    PretrainedError
        If the model cannot be loaded or takes another rate.
    """

    def __init__(self, build, sample_rate=16000, freeze=True):
        source = build.keywords["source"]
        encoder = load_pretrained(lambda: build(freeze=freeze), source)
        rate = encoder.feature_extractor.sampling_rate
        if rate != sample_rate:
            raise PretrainedError(
                f"{source!r} takes audio of {rate} Hz, not of {sample_rate}; "
                f"set --sample_rate={rate}"
            )
        super().__init__(encoder, freeze)
        self.all_layers = encoder.output_all_hiddens
        # A layer left out in training would be missing among the weighted ones.
        encoder.model.config.layerdrop = 0.0
        extractor = encoder.feature_extractor
        # Samples that a call takes, of a model with so many positions.
        self.longest = getattr(extractor, "n_samples", None)
        if self.longest:
            # Whisper: mel frames around multiples of the hop, every other one
            hop, reach = 2 * extractor.hop_length, 0
        else:
            hop, reach = _convolutions(encoder.model.config)
        self.hop_samples, self.reach_samples = hop, reach
        self.hop = hop / rate
        self.first = reach / 2 / rate

    def forward(self, waveform):
        """Hears one utterance.

        Arguments
        ---------
        waveform : torch.Tensor
            Shape ``[samples]``; one that is longer than the model's positions
            (Whisper's 30 s) is heard in several pieces.

        Returns
        -------
        torch.Tensor
            Frames every ``hop`` seconds, the first one's centre at ``first``;
            all layers of a frame one after the other, shape ``[frames, layers *
            features]``.
        """
        if not self.longest:
            missing = max(0, self.reach_samples + 1 - len(waveform))
            waveform = torch.nn.functional.pad(waveform, (0, missing))
            return self._hear(waveform)
        return torch.cat(
            [
                self._hear(piece)[: math.ceil(len(piece) / self.hop_samples)]
                for piece in waveform.split(self.longest)
            ]
        )

    def _hear(self, waveform):
        hidden = self.encoder(waveform[None])
        layers = hidden[:, 0] if self.all_layers else hidden
        return layers.transpose(0, 1).flatten(1)


def _convolutions(config):
    """Hop of a stack of convolutions and how far beyond a sample it reaches."""
    hop, reach = 1, 0
    for kernel, stride in zip(config.conv_kernel, config.conv_stride):
        reach += (kernel - 1) * hop
        hop *= stride
    return hop, reach


def hidden_layers(build):
    """Layers and features of a front end, from its configuration alone.

    Arguments
    ---------
    build : callable
        See ``FrontEnd``.

    Returns
    -------
    layers, features : int
        Hidden layers that it gives, and features of each.

    Raises
    ------
    PretrainedError
        If the configuration cannot be loaded.
    """
    from transformers import AutoConfig

    source = build.keywords["source"]
    config = load_pretrained(
        lambda: AutoConfig.from_pretrained(
            source, cache_dir=build.keywords["save_path"]
        ),
        source,
    )
    # Whisper has a decoder too, which it does not need here.
    layers = getattr(config, "encoder_layers", None) or config.num_hidden_layers
    every = build.keywords.get("output_all_hiddens", False)
    return (layers + 1 if every else 1), config.hidden_size


class PretrainedFrames(torch.nn.Module):
    """A front end that hears whole utterances and is trained with the model.

    A frame encoder of ``WordEncoder`` for ``SegmentSamples``: samples in, frames
    at the model's own rate out, each with the word that its centre lies in.

    Arguments
    ---------
    build : callable
        See ``FrontEnd``.
    sample_rate : int
        Rate of the samples in Hz.
    freeze : bool
        Whether it stays as it is; ``SegmentHidden`` is the fast way to that.
    """

    def __init__(self, build, sample_rate=16000, freeze=False):
        super().__init__()
        layers, features = hidden_layers(build)
        self.front_end = FrontEnd(build, sample_rate, freeze)
        self.layer_weights = LayerWeights(layers, layers * features)
        self.output_size = self.layer_weights.output_size
        self.sample_rate = sample_rate

    def forward(self, audio):
        """Encodes the audio of a batch.

        Arguments
        ---------
        audio : WordFrames
            The samples of every word, as ``SegmentSamples`` has them.

        Returns
        -------
        WordFrames
            The frames of every word.
        """
        sample_counts = audio.utterance_frame_counts().tolist()
        ends = torch.cumsum(audio.frame_counts, 0)
        bounds = torch.stack([ends - audio.frame_counts, ends], dim=1)
        # in double precision: a frame's centre may lie where two words meet
        bounds = bounds.double() / self.sample_rate
        frames, counts = [], []
        for samples, segments in zip(
            audio.frames[:, 0].split(sample_counts),
            bounds.split(audio.word_counts.tolist()),
        ):
            heard = self.front_end(samples)
            chosen, chosen_counts = frames_of_words(
                segments - segments[0, 0],
                len(heard),
                self.front_end.first,
                self.front_end.hop,
            )
            frames.append(heard[chosen])
            counts.append(chosen_counts)
        encoded = audio._replace(
            frames=torch.cat(frames), frame_counts=torch.cat(counts)
        )
        return self.layer_weights(encoded)
