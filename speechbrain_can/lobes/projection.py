"""Projections of pretrained features to a size that little data can train."""

import torch


class Projection(torch.nn.Module):
    """Dropout, a linear layer, layer normalisation and GELU.

    Arguments
    ---------
    input_size : int
        Features.
    size : int
        Features after it.
    dropout : float
        Probability.

    Example
    -------
    >>> Projection(512, size=128)(torch.randn(3, 512)).shape
    torch.Size([3, 128])
    """

    def __init__(self, input_size, size=128, dropout=0.3):
        super().__init__()
        self.dropout = torch.nn.Dropout(dropout)
        self.linear = torch.nn.Linear(input_size, size)
        self.norm = torch.nn.LayerNorm(size)
        self.output_size = size

    def forward(self, vectors):
        """Projects.

        Arguments
        ---------
        vectors : torch.Tensor
            Shape ``[vectors, features]``.

        Returns
        -------
        torch.Tensor
            Shape ``[vectors, size]``.
        """
        projected = self.norm(self.linear(self.dropout(vectors)))
        return torch.nn.functional.gelu(projected)


class ProjectedFrames(torch.nn.Module):
    """A frame encoder with a ``Projection`` after it.

    Arguments
    ---------
    frame_encoder : torch.nn.Module
        From ``WordFrames`` to ``WordFrames``, such as ``LayerWeights``; or
        ``FramesAsStored``, where the projection mixes the layers itself.
    size : int
        Features of a frame after it.
    dropout : float
        Probability.

    Example
    -------
    >>> from speechbrain_can.lobes.audio import FramesAsStored, WordEncoder
    >>> frames = ProjectedFrames(FramesAsStored(3584), size=128)
    >>> WordEncoder(frames).output_size
    256
    """

    def __init__(self, frame_encoder, size=128, dropout=0.3):
        super().__init__()
        self.frame_encoder = frame_encoder
        self.projection = Projection(frame_encoder.output_size, size, dropout)
        self.output_size = size

    def forward(self, audio):
        """Encodes the frames of a batch.

        Arguments
        ---------
        audio : WordFrames
            The frames of every word.

        Returns
        -------
        WordFrames
            Their projections.
        """
        encoded = self.frame_encoder(audio)
        return encoded._replace(frames=self.projection(encoded.frames))


class ProjectedWords(torch.nn.Module):
    """Word vectors with a ``Projection`` after them.

    Arguments
    ---------
    embedding : torch.nn.Module
        From lists of words to flat vectors, such as ``StoredWords``.
    size : int
        Features of a word after it.
    dropout : float
        Probability.

    Example
    -------
    >>> from speechbrain_can.lobes.text import WordBLSTM, WordEmbedding
    >>> embedding = ProjectedWords(WordEmbedding(300), size=128)
    >>> WordBLSTM(embedding)([["oh", "really"], ["yes"]]).shape
    torch.Size([2, 2, 256])
    """

    def __init__(self, embedding, size=128, dropout=0.3):
        super().__init__()
        self.embedding = embedding
        self.projection = Projection(embedding.output_size, size, dropout)
        self.output_size = size

    def fit_vocabulary(self, train_words, other_words=()):
        """See ``WordEmbedding.fit_vocabulary``."""
        self.embedding.fit_vocabulary(train_words, other_words)

    def forward(self, words):
        """Vectors of words.

        Arguments
        ---------
        words : list of list of str
            The words of each utterance.

        Returns
        -------
        torch.Tensor
            Flat word vectors, shape ``[words of the batch, size]``.
        """
        return self.projection(self.embedding(words))


class JoinedFrames(torch.nn.Module):
    """Frame encoders side by side, each on its own columns of the frames.

    ``features.joined.JoinedFeatures`` stores such frames.

    Arguments
    ---------
    sizes : list of int
        Columns of each.
    frame_encoders : list of torch.nn.Module
        From ``WordFrames`` to ``WordFrames`` of as many frames.

    Raises
    ------
    ValueError
        If there are not as many sizes as encoders.

    Example
    -------
    >>> from speechbrain_can.lobes.audio import FramesAsStored, LayerWeights
    >>> encoder = JoinedFrames(
    ...     [14, 88], [LayerWeights(7, 14), FramesAsStored(88)]
    ... )
    >>> encoder.output_size
    90
    """

    def __init__(self, sizes, frame_encoders):
        super().__init__()
        if len(sizes) != len(frame_encoders):
            raise ValueError(
                f"{len(sizes)} sizes for {len(frame_encoders)} frame encoders"
            )
        self.sizes = list(sizes)
        self.frame_encoders = torch.nn.ModuleList(frame_encoders)
        self.output_size = sum(e.output_size for e in frame_encoders)

    def forward(self, audio):
        """Encodes the frames of a batch.

        Arguments
        ---------
        audio : WordFrames
            The frames of every word.

        Returns
        -------
        WordFrames
            What the encoders give, one beside the other.
        """
        encoded = [
            encoder(audio._replace(frames=columns)).frames
            for encoder, columns in zip(
                self.frame_encoders, audio.frames.split(self.sizes, dim=1)
            )
        ]
        return audio._replace(frames=torch.cat(encoded, dim=1))
