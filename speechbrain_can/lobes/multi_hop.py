"""Multi-hop attention between frames and words (Yoon et al., 2019).

"Speech emotion recognition using multi-hop attention mechanism", ICASSP 2019; "Yoon
et al." in Table 2 of the paper. The original encodes 120 MFCC features (39 with
deltas) and prosody with a BLSTM of 200 units; the sizes here are those of the paper.
"""

from typing import Tuple

import torch

from speechbrain_can.lobes.ragged import final_states


class MultiHopAttention(torch.nn.Module):
    """Fusion with alternating attention to words and frames.

    Hop 1 attends to words with the last state of the audio as query, hop 2 to frames
    with the result of hop 1, and hop 3 to words with the result of hop 2. As in the
    authors' code, queries are projected before the dot product. With 256 features
    and 3 hops there are 197,376 parameters.

    Arguments
    ---------
    input_size : int
        Features per frame and per word.
    hops : int
        1, 2 or 3.

    Raises
    ------
    ValueError
        If the number of hops is not supported.

    Example
    -------
    >>> attention = MultiHopAttention(input_size=8, hops=3)
    >>> contexts, _ = attention(
    ...     torch.randn(2, 3, 8),
    ...     torch.randn(2, 5, 8),
    ...     text_mask=torch.tensor([[True] * 3, [True] + [False] * 2]),
    ...     audio_mask=torch.tensor([[True] * 5, [True] * 4 + [False]]),
    ... )
    >>> contexts.shape
    torch.Size([2, 16])
    """

    def __init__(self, input_size: int, hops: int = 3):
        super().__init__()
        if hops not in (1, 2, 3):
            raise ValueError(f"hops must be 1, 2 or 3, but is {hops!r}")
        self.projections = torch.nn.ModuleList(
            torch.nn.Linear(input_size, input_size) for _ in range(hops)
        )
        self.output_size = 2 * input_size

    def forward(
        self,
        text: torch.Tensor,
        audio: torch.Tensor,
        text_mask: torch.Tensor,
        audio_mask: torch.Tensor,
    ) -> Tuple[torch.Tensor, None]:
        """Return the result of the last hop and its query.

        Arguments
        ---------
        text, audio : torch.Tensor
            o^T and o^A, ``[batch, steps, features]`` each.
        text_mask, audio_mask : torch.Tensor
            True at real words and frames, ``[batch, steps]``.

        Returns
        -------
        contexts : torch.Tensor
            [H1; last audio state], [H1; H2] or [H3; H2] for 1, 2 or 3 hops,
            ``[batch, 2 * features]``.
        attention : None
            The attention of several hops is not reported.
        """
        sides = [(text, text_mask), (audio, audio_mask)]
        query, found = None, final_states(audio, audio_mask.sum(dim=1))
        for hop, projection in enumerate(self.projections):
            hidden, mask = sides[hop % 2]
            query = found
            scores = torch.einsum("bd,bld->bl", projection(query), hidden)
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=1)
            found = torch.einsum("bl,bld->bd", weights, hidden)
        # the order in the paper, which is irrelevant for a linear classifier
        pair = [query, found] if len(self.projections) == 2 else [found, query]
        return torch.cat(pair, dim=-1), None
