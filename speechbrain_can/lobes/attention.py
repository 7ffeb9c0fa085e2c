"""Attention over words, and its crossing between modalities (eqs 4-9).

A fusion maps encoded text and audio, each with its mask, to contexts, which its
classifier takes, and to the ``Attention`` on words, or None where it has none.
Padding is never attended to, whatever values it has."""

from typing import NamedTuple, Optional

import torch


class Attention(NamedTuple):
    """Attention weights of a batch, 0 past an utterance's last word.

    Arguments
    ---------
    text : torch.Tensor or None
        alpha^(T), shape ``[batch, words, heads]``.
    audio : torch.Tensor or None
        alpha^(A), shape ``[batch, words, heads]``.
    """

    text: Optional[torch.Tensor] = None
    audio: Optional[torch.Tensor] = None


class Contexts(NamedTuple):
    """Context vectors; the first letter is the query's modality.

    Arguments
    ---------
    tt, ta, aa, at : torch.Tensor
        c^(TT), c^(TA), c^(AA), c^(AT), each of shape ``[batch, features]``.
    """

    tt: torch.Tensor
    ta: torch.Tensor
    aa: torch.Tensor
    at: torch.Tensor


class GlobalAttention(torch.nn.Module):
    """Attention weights of a learnt global query, one a head (eqs 4 and 5).

    Head k compares its query with slice k of the features.

    Arguments
    ---------
    input_size : int
        Features of a word, a multiple of ``heads``.
    heads : int
        Number of heads.

    Raises
    ------
    ValueError
        If the features cannot be cut into so many slices.

    Example
    -------
    >>> attention = GlobalAttention(input_size=8, heads=4)
    >>> hidden = torch.randn(2, 3, 8)
    >>> mask = torch.tensor([[True, True, True], [True, False, False]])
    >>> weights = attention(hidden, mask)
    >>> weights.shape, weights[1, :, 0]
    (torch.Size([2, 3, 4]), tensor([1., 0., 0.], grad_fn=<SelectBackward0>))
    """

    def __init__(self, input_size, heads=4):
        super().__init__()
        if input_size % heads:
            raise ValueError(
                f"{input_size} features cannot be cut into {heads} heads"
            )
        # A small query makes attention a mean, and little teaches it otherwise:
        # it never got far from that where it began with the values of a linear
        # layer.
        self.query = torch.nn.Parameter(torch.randn(heads, input_size // heads))

    def forward(self, hidden, mask):
        """Computes the weights.

        Arguments
        ---------
        hidden : torch.Tensor
            Shape ``[batch, words, features]``.
        mask : torch.Tensor
            True at real words, shape ``[batch, words]``.

        Returns
        -------
        torch.Tensor
            They sum to one over the words, shape ``[batch, words, heads]``.
        """
        slices = hidden.unflatten(-1, self.query.shape)
        scores = torch.einsum("blkd,kd->blk", slices, self.query)
        scores = scores.masked_fill(~mask[:, :, None], -torch.inf)
        return scores.softmax(dim=1)


def attend(weights, hidden):
    """Weighted sum over words, head k over slice k of the features.

    Arguments
    ---------
    weights : torch.Tensor
        Shape ``[batch, words, heads]``.
    hidden : torch.Tensor
        Shape ``[batch, words, features]``.

    Returns
    -------
    torch.Tensor
        The heads' contexts side by side, shape ``[batch, features]``.

    Example
    -------
    >>> weights = torch.tensor([[[0.5, 0.0], [0.5, 1.0]]])
    >>> attend(weights, torch.tensor([[[2.0, 4.0], [6.0, 8.0]]]))
    tensor([[4., 8.]])
    """
    slices = hidden.unflatten(-1, (weights.shape[-1], -1))
    return torch.einsum("blk,blkd->bkd", weights, slices).flatten(1)


class TextAttention(torch.nn.Module):
    """Global attention on text alone, a fusion (Mirsamadi et al., 2017).

    Arguments
    ---------
    input_size : int
        Features of a word, a multiple of ``heads``.
    heads : int
        Number of heads.

    Example
    -------
    >>> mask = torch.tensor([[True, True, True], [True, True, False]])
    >>> contexts, attention = TextAttention(256, heads=1)(
    ...     torch.randn(2, 3, 256), None, mask, None
    ... )
    >>> contexts.shape, attention.text.shape
    (torch.Size([2, 256]), torch.Size([2, 3, 1]))
    """

    def __init__(self, input_size, heads=1):
        super().__init__()
        self.attention = GlobalAttention(input_size, heads)

    def forward(self, text, audio, text_mask, audio_mask):
        """Attends to words.

        Arguments
        ---------
        text : torch.Tensor
            Shape ``[batch, words, features]``.
        audio : torch.Tensor or None
            Not heard.
        text_mask : torch.Tensor
            True at real words, shape ``[batch, words]``.
        audio_mask : torch.Tensor or None
            Not looked at.

        Returns
        -------
        contexts : torch.Tensor
            Shape ``[batch, features]``.
        attention : Attention
            The weights of the words.
        """
        weights = self.attention(text, text_mask)
        return attend(weights, text), Attention(text=weights)


class AudioAttention(torch.nn.Module):
    """Global attention on audio alone, a fusion (Mirsamadi et al., 2017).

    Arguments
    ---------
    input_size : int
        Features of a frame, a multiple of ``heads``.
    heads : int
        Number of heads.

    Example
    -------
    >>> mask = torch.tensor([[True, True, True], [True, True, False]])
    >>> contexts, attention = AudioAttention(256, heads=1)(
    ...     None, torch.randn(2, 3, 256), None, mask
    ... )
    >>> contexts.shape, attention
    (torch.Size([2, 256]), None)
    """

    def __init__(self, input_size, heads=1):
        super().__init__()
        self.attention = GlobalAttention(input_size, heads)

    def forward(self, text, audio, text_mask, audio_mask):
        """Attends to frames.

        Arguments
        ---------
        text : torch.Tensor or None
            Not read.
        audio : torch.Tensor
            Shape ``[batch, frames, features]``.
        text_mask : torch.Tensor or None
            Not looked at.
        audio_mask : torch.Tensor
            True at real frames, shape ``[batch, frames]``.

        Returns
        -------
        contexts : torch.Tensor
            Shape ``[batch, features]``.
        attention : None
            It is on frames, not on words.
        """
        return attend(self.attention(audio, audio_mask), audio), None


class CrossAttention(torch.nn.Module):
    """Cross attention (eqs 4-9): each modality lends its weights to the other.

    The weights are lent through a stop-gradient, so that no modality learns
    where to attend from the other one; Table 4 has CAN without it, too. With
    256 features it has 512 parameters.

    Arguments
    ---------
    input_size : int
        Features of a word, the same in both modalities.
    heads : int
        Number of heads.
    stop_gradient : bool
        Whether lent weights are cut off from the gradient.

    Example
    -------
    >>> attention = CrossAttention(input_size=256, heads=4)
    >>> mask = torch.tensor([[True, True, True], [True, True, False]])
    >>> contexts, weights = attention(
    ...     torch.randn(2, 3, 256), torch.randn(2, 3, 256), mask, mask
    ... )
    >>> contexts.ta.shape, weights.text.shape
    (torch.Size([2, 256]), torch.Size([2, 3, 4]))
    """

    def __init__(self, input_size, heads=4, stop_gradient=True):
        super().__init__()
        self.stop_gradient = stop_gradient
        self.text_attention = GlobalAttention(input_size, heads)
        self.audio_attention = GlobalAttention(input_size, heads)

    def forward(self, text, audio, text_mask, audio_mask):
        """Computes the four contexts.

        Arguments
        ---------
        text, audio : torch.Tensor
            H^(T) and H^(A), each of shape ``[batch, words, features]``.
        text_mask, audio_mask : torch.Tensor
            True at real words, the same in both, shape ``[batch, words]``.

        Returns
        -------
        contexts : Contexts
            The four context vectors.
        attention : Attention
            The weights of both modalities.
        """
        attention = Attention(
            text=self.text_attention(text, text_mask),
            audio=self.audio_attention(audio, audio_mask),
        )
        lent = attention
        if self.stop_gradient:
            lent = Attention(*(weights.detach() for weights in attention))
        contexts = Contexts(
            tt=attend(attention.text, text),
            ta=attend(lent.text, audio),
            aa=attend(attention.audio, audio),
            at=attend(lent.audio, text),
        )
        return contexts, attention


def attention_of_words(attention, word_counts):
    """Attention of each utterance, without padding, as plain numbers.

    Arguments
    ---------
    attention : Attention
        The weights of a batch.
    word_counts : torch.Tensor
        Words of each utterance, shape ``[batch]``.

    Returns
    -------
    list of dict of str: list of float
        For each utterance the weights of its words by modality, the mean over
        heads; those of a modality sum to 1.

    Example
    -------
    >>> attention = Attention(text=torch.ones(1, 2, 4))
    >>> attention_of_words(attention, torch.tensor([1]))
    [{'text': [1.0]}]
    """
    means = {
        modality: weights.float().mean(dim=-1).cpu()
        for modality, weights in attention._asdict().items()
        if weights is not None
    }
    return [
        {name: mean[i, :n].tolist() for name, mean in means.items()}
        for i, n in enumerate(word_counts.tolist())
    ]
