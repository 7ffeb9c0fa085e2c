"""Attention over words and cross attention between modalities (eqs 4-9).

A fusion maps encoded text and audio with their masks to contexts for the classifier
and to the ``Attention`` over words, or None. Fusions ignore the values of padding.
"""

from typing import Dict, List, NamedTuple, Optional, Tuple

import torch


class Attention(NamedTuple):
    """Attention weights of a batch; padding has weight 0.

    Arguments
    ---------
    text, audio : torch.Tensor or None
        alpha^(T) and alpha^(A), ``[batch, words, heads]`` each.
    """

    text: Optional[torch.Tensor] = None
    audio: Optional[torch.Tensor] = None


class Contexts(NamedTuple):
    """Context vectors; the first letter is the modality of the query.

    Arguments
    ---------
    tt, ta, aa, at : torch.Tensor
        c^(TT), c^(TA), c^(AA) and c^(AT), ``[batch, features]`` each.
    """

    tt: torch.Tensor
    ta: torch.Tensor
    aa: torch.Tensor
    at: torch.Tensor


class GlobalAttention(torch.nn.Module):
    """Attention weights of a learned global query per head (eqs 4 and 5).

    Head k compares its query with slice k of the features.

    Arguments
    ---------
    input_size : int
        Number of features, a multiple of ``heads``.
    heads : int
        Number of heads.

    Raises
    ------
    ValueError
        If the features cannot be divided among the heads.

    Example
    -------
    >>> attention = GlobalAttention(input_size=8, heads=4)
    >>> hidden = torch.randn(2, 3, 8)
    >>> mask = torch.tensor([[True, True, True], [True, False, False]])
    >>> weights = attention(hidden, mask)
    >>> weights.shape, weights[1, :, 0]
    (torch.Size([2, 3, 4]), tensor([1., 0., 0.], grad_fn=<SelectBackward0>))
    """

    def __init__(self, input_size: int, heads: int = 4):
        super().__init__()
        if input_size % heads:
            raise ValueError(
                f"{input_size} features cannot be divided among {heads} heads"
            )
        # A small initial query gives nearly uniform attention and small
        # gradients; with the initialization of a linear layer, attention
        # stayed nearly uniform.
        self.query = torch.nn.Parameter(torch.randn(heads, input_size // heads))

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return weights ``[batch, words, heads]`` that sum to 1 over the words.

        ``hidden`` is ``[batch, words, features]``, ``mask`` True at real words.
        """
        slices = hidden.unflatten(-1, self.query.shape)
        scores = torch.einsum("blkd,kd->blk", slices, self.query)
        scores = scores.masked_fill(~mask[:, :, None], -torch.inf)
        return scores.softmax(dim=1)


def attend(weights: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """Return the weighted sum over words, with head k applied to slice k.

    Arguments
    ---------
    weights : torch.Tensor
        Attention weights, ``[batch, words, heads]``.
    hidden : torch.Tensor
        Encoded words, ``[batch, words, features]``.

    Returns
    -------
    torch.Tensor
        Concatenated contexts of the heads, ``[batch, features]``.

    Example
    -------
    >>> weights = torch.tensor([[[0.5, 0.0], [0.5, 1.0]]])
    >>> attend(weights, torch.tensor([[[2.0, 4.0], [6.0, 8.0]]]))
    tensor([[4., 8.]])
    """
    slices = hidden.unflatten(-1, (weights.shape[-1], -1))
    return torch.einsum("blk,blkd->bkd", weights, slices).flatten(1)


class TextAttention(torch.nn.Module):
    """Fusion with global attention over text only (Mirsamadi et al., 2017).

    Arguments
    ---------
    input_size : int
        Number of features, a multiple of ``heads``.
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

    def __init__(self, input_size: int, heads: int = 1):
        super().__init__()
        self.attention = GlobalAttention(input_size, heads)

    def forward(
        self,
        text: torch.Tensor,
        audio: Optional[torch.Tensor],
        text_mask: torch.Tensor,
        audio_mask: Optional[torch.Tensor],
    ) -> Tuple[torch.Tensor, Attention]:
        """Return the context ``[batch, features]`` and the attention; ignore audio."""
        weights = self.attention(text, text_mask)
        return attend(weights, text), Attention(text=weights)


class AudioAttention(torch.nn.Module):
    """Fusion with global attention over audio only (Mirsamadi et al., 2017).

    Arguments
    ---------
    input_size : int
        Number of features, a multiple of ``heads``.
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

    def __init__(self, input_size: int, heads: int = 1):
        super().__init__()
        self.attention = GlobalAttention(input_size, heads)

    def forward(
        self,
        text: Optional[torch.Tensor],
        audio: torch.Tensor,
        text_mask: Optional[torch.Tensor],
        audio_mask: torch.Tensor,
    ) -> Tuple[torch.Tensor, None]:
        """Return the context ``[batch, features]``, and None: frames are not words."""
        return attend(self.attention(audio, audio_mask), audio), None


class CrossAttention(torch.nn.Module):
    """Cross attention (eqs 4-9): each modality applies the weights of the other.

    Weights applied to the other modality pass through a stop-gradient, so a
    modality does not learn where to attend from the other one. Table 4 of the paper
    includes CAN without it. With 256 features there are 512 parameters.

    Arguments
    ---------
    input_size : int
        Number of features, equal for both modalities.
    heads : int
        Number of heads.
    stop_gradient : bool
        Whether to stop the gradient through weights of the other modality.

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

    def __init__(
        self, input_size: int, heads: int = 4, stop_gradient: bool = True
    ):
        super().__init__()
        self.stop_gradient = stop_gradient
        self.text_attention = GlobalAttention(input_size, heads)
        self.audio_attention = GlobalAttention(input_size, heads)

    def forward(
        self,
        text: torch.Tensor,
        audio: torch.Tensor,
        text_mask: torch.Tensor,
        audio_mask: torch.Tensor,
    ) -> Tuple[Contexts, Attention]:
        """Return the four contexts and the attention of both modalities.

        Arguments
        ---------
        text, audio : torch.Tensor
            H^(T) and H^(A), ``[batch, words, features]`` each.
        text_mask, audio_mask : torch.Tensor
            True at real words, equal for both, ``[batch, words]``.

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
        crossed = attention
        if self.stop_gradient:
            crossed = Attention(*(weights.detach() for weights in attention))
        contexts = Contexts(
            tt=attend(attention.text, text),
            ta=attend(crossed.text, audio),
            aa=attend(attention.audio, audio),
            at=attend(crossed.audio, text),
        )
        return contexts, attention


def word_attention(
    attention: Attention, word_counts: torch.Tensor
) -> List[Dict[str, List[float]]]:
    """Return the attention of each utterance without padding.

    Arguments
    ---------
    attention : Attention
        The weights of a batch.
    word_counts : torch.Tensor
        Words per utterance, ``[batch]``.

    Returns
    -------
    list of dict of str: list of float
        For each utterance, the mean over heads by modality; the weights of a
        modality sum to 1.

    Example
    -------
    >>> attention = Attention(text=torch.ones(1, 2, 4))
    >>> word_attention(attention, torch.tensor([1]))
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
