"""Multi-hop attention between frames and words (Yoon et al., 2019).

"Speech emotion recognition using multi-hop attention mechanism", ICASSP 2019;
"Yoon et al." of the paper's Table 2. The original encodes 120-d MFCC (39 with
deltas) and prosody by a BLSTM of 200 units; the sizes here are the paper's."""

import torch

from speechbrain_can.lobes.ragged import final_states


class MultiHopAttention(torch.nn.Module):
    """Hops from one modality to the other.

    Hop 1 asks the words with the last state of the audio, hop 2 the frames with
    what hop 1 found, hop 3 the words with what hop 2 found. As in the authors'
    code a query is projected before the dot product. With 256 features and 3
    hops it has 197,376 parameters.

    Arguments
    ---------
    input_size : int
        Features of a frame and of a word.
    hops : int
        1, 2 or 3.

    Raises
    ------
    ValueError
        If there are fewer hops, or more.

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

    def __init__(self, input_size, hops=3):
        super().__init__()
        if hops not in (1, 2, 3):
            raise ValueError(f"hops is {hops!r}; choose 1, 2 or 3")
        self.projections = torch.nn.ModuleList(
            torch.nn.Linear(input_size, input_size) for _ in range(hops)
        )
        self.output_size = 2 * input_size

    def forward(self, text, audio, text_mask, audio_mask):
        """Hops.

        Arguments
        ---------
        text, audio : torch.Tensor
            o^T and o^A, each of shape ``[batch, steps, features]``.
        text_mask, audio_mask : torch.Tensor
            True at real words and frames, shape ``[batch, steps]``.

        Returns
        -------
        contexts : torch.Tensor
            What the last hop found beside its query: [H1; last audio state],
            [H1; H2] or [H3; H2], shape ``[batch, 2 * features]``.
        attention : None
            The attention of several hops is not drawn.
        """
        sides = [(text, text_mask), (audio, audio_mask)]
        query, found = None, final_states(audio, audio_mask.sum(dim=1))
        for hop, projection in enumerate(self.projections):
            hidden, mask = sides[hop % 2]
            query = found
            scores = torch.einsum("bd,bld->bl", projection(query), hidden)
            weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=1)
            found = torch.einsum("bl,bld->bd", weights, hidden)
        # the paper's order of the two; a linear classifier does not mind
        pair = [query, found] if len(self.projections) == 2 else [found, query]
        return torch.cat(pair, dim=-1), None
