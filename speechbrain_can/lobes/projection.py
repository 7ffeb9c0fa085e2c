"""Projections of pretrained features to a size suitable for little training data."""

from typing import Iterable, Sequence

import torch

from speechbrain_can.lobes.ragged import WordFrames


class Projection(torch.nn.Module):
    """Dropout, linear layer, layer normalization and GELU.

    Arguments
    ---------
    input_size : int
        Input features.
    size : int
        Output features.
    dropout : float
        Dropout probability.

    Example
    -------
    >>> Projection(512, size=128)(torch.randn(3, 512)).shape
    torch.Size([3, 128])
    """

    def __init__(self, input_size: int, size: int = 128, dropout: float = 0.3):
        super().__init__()
        self.dropout = torch.nn.Dropout(dropout)
        self.linear = torch.nn.Linear(input_size, size)
        self.norm = torch.nn.LayerNorm(size)
        self.output_size = size

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Project ``[vectors, input_size]`` to ``[vectors, size]``."""
        projected = self.norm(self.linear(self.dropout(vectors)))
        return torch.nn.functional.gelu(projected)


class ProjectedFrames(torch.nn.Module):
    """Frame encoder followed by a ``Projection``.

    Arguments
    ---------
    frame_encoder : torch.nn.Module
        Maps ``WordFrames`` to ``WordFrames``, such as ``LayerWeights``; or
        ``FramesAsStored``, so that the projection mixes the layers.
    size : int
        Output features.
    dropout : float
        Dropout probability.

    Example
    -------
    >>> from speechbrain_can.lobes.audio import FramesAsStored, WordEncoder
    >>> frames = ProjectedFrames(FramesAsStored(3584), size=128)
    >>> WordEncoder(frames).output_size
    256
    """

    def __init__(
        self,
        frame_encoder: torch.nn.Module,
        size: int = 128,
        dropout: float = 0.3,
    ):
        super().__init__()
        self.frame_encoder = frame_encoder
        self.projection = Projection(frame_encoder.output_size, size, dropout)
        self.output_size = size

    def forward(self, audio: WordFrames) -> WordFrames:
        """Encode and project the frames of a batch."""
        encoded = self.frame_encoder(audio)
        return encoded._replace(frames=self.projection(encoded.frames))


class ProjectedWords(torch.nn.Module):
    """Word embedding followed by a ``Projection``.

    Arguments
    ---------
    embedding : torch.nn.Module
        Maps lists of words to flat vectors, such as ``StoredWords``.
    size : int
        Output features.
    dropout : float
        Dropout probability.

    Example
    -------
    >>> from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding
    >>> embedding = ProjectedWords(WordEmbedding(300), size=128)
    >>> WordBLSTM(embedding)([["oh", "really"], ["yes"]]).shape
    torch.Size([2, 2, 256])
    """

    def __init__(
        self, embedding: torch.nn.Module, size: int = 128, dropout: float = 0.3
    ):
        super().__init__()
        self.embedding = embedding
        self.projection = Projection(embedding.output_size, size, dropout)
        self.output_size = size

    def fit_vocabulary(
        self, train_words: Iterable[str], other_words: Iterable[str] = ()
    ) -> None:
        """Set the vocabulary of the embedding; see ``WordEmbedding``."""
        self.embedding.fit_vocabulary(train_words, other_words)

    def forward(self, words: Sequence[Sequence[str]]) -> torch.Tensor:
        """Return flat word vectors, ``[words of the batch, size]``."""
        return self.projection(self.embedding(words))


class JoinedFrames(torch.nn.Module):
    """Frame encoders for different columns of the frames, concatenated.

    ``features.joined.JoinedFeatures`` stores such frames.

    Arguments
    ---------
    sizes : list of int
        Number of columns of each encoder.
    frame_encoders : list of torch.nn.Module
        Map ``WordFrames`` to ``WordFrames`` with the same number of frames.

    Raises
    ------
    ValueError
        If the numbers of sizes and encoders differ.

    Example
    -------
    >>> from speechbrain_can.lobes.audio import FramesAsStored, LayerWeights
    >>> encoder = JoinedFrames(
    ...     [14, 88], [LayerWeights(7, 14), FramesAsStored(88)]
    ... )
    >>> encoder.output_size
    90
    """

    def __init__(
        self, sizes: Sequence[int], frame_encoders: Sequence[torch.nn.Module]
    ):
        super().__init__()
        if len(sizes) != len(frame_encoders):
            raise ValueError(
                f"got {len(sizes)} sizes for {len(frame_encoders)} frame encoders"
            )
        self.sizes = list(sizes)
        self.frame_encoders = torch.nn.ModuleList(frame_encoders)
        self.output_size = sum(e.output_size for e in frame_encoders)

    def forward(self, audio: WordFrames) -> WordFrames:
        """Encode the columns separately and concatenate the results."""
        encoded = [
            encoder(audio._replace(frames=columns)).frames
            for encoder, columns in zip(
                self.frame_encoders, audio.frames.split(self.sizes, dim=1)
            )
        ]
        return audio._replace(frames=torch.cat(encoded, dim=1))
