"""Forward and backward pass of BLSTMs over ragged sequences (group 1)."""

import torch
from measure import HOP, Row, draw_lengths, median_seconds

from speechbrain_can.lobes.ragged import RaggedBLSTM, bucket_shapes, pad

INPUT, HIDDEN = 40, 128


def bidirectional(blstm):
    """Return torch's bidirectional LSTM with the same parameters."""
    lstm = torch.nn.LSTM(INPUT, HIDDEN, bidirectional=True, batch_first=True)
    with torch.no_grad():
        for suffix, half in (
            ("", blstm.forward_lstm),
            ("_reverse", blstm.backward_lstm),
        ):
            for name, value in half.named_parameters():
                getattr(lstm, name + suffix).copy_(value)
    return lstm


def packed_outputs(lstm, padded, counts):
    """Pack, run and pad sequences as the manual suggests; return the real steps."""
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        padded, counts, batch_first=True, enforce_sorted=False
    )
    outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(
        lstm(packed)[0], batch_first=True
    )
    return outputs[torch.arange(outputs.shape[1]) < counts[:, None]]


def matrix_products(shapes):
    """Compute only the matrix products of both directions, forward and backward."""
    gates = 4 * HIDDEN
    weight_input = torch.randn(INPUT, gates)
    weight_hidden = torch.randn(HIDDEN, gates)
    data = [
        (
            steps,
            torch.randn(steps * width, INPUT),
            torch.randn(steps * width, HIDDEN),
            torch.randn(steps * width, gates),
        )
        for steps, width in shapes
    ]

    def products():
        for _ in range(2):
            for steps, inputs, hidden, gradient in data:
                inputs @ weight_input
                for step in hidden.chunk(steps):
                    step @ weight_hidden
                for step in gradient.chunk(steps):
                    step @ weight_hidden.T
                inputs.T @ gradient
                hidden.T @ gradient

    return products


def differences(blstm, lstm, flat, counts):
    """Return the largest difference from packed sequences, of outputs and of gradients."""
    ours = blstm(flat, counts)
    theirs = packed_outputs(lstm, pad(flat, counts), counts)
    direction = torch.randn_like(ours)
    gradients = []
    for outputs, module in ((ours, blstm), (theirs, lstm)):
        found = torch.autograd.grad(
            (outputs * direction).mean(), module.parameters()
        )
        gradients.append(torch.cat([gradient.flatten() for gradient in found]))
    return (
        float((ours - theirs).detach().abs().max()),
        float((gradients[0] - gradients[1]).abs().max()),
    )


def run(threads, quick):
    """Measure encoders of words and of utterances.

    Returns the rows, and the differences from packed sequences by level.
    """
    torch.manual_seed(0)
    word_counts, frame_counts = draw_lengths(4 if quick else 64)
    word_counts = torch.from_numpy(word_counts)
    frame_counts = torch.from_numpy(frame_counts)
    utterances = torch.arange(len(word_counts)).repeat_interleave(word_counts)
    utterance_counts = torch.zeros_like(word_counts).index_add(
        0, utterances, frame_counts
    )
    min_run_time = 0 if quick else 3
    rows, equal = [], {}
    for level, counts in {
        "words": frame_counts,
        "utterances": utterance_counts,
    }.items():
        audio = float(counts.sum()) * HOP
        flat = torch.randn(int(counts.sum()), INPUT)
        padded = pad(flat, counts)
        blstm = RaggedBLSTM(INPUT, HIDDEN)
        lstm = bidirectional(blstm)
        equal[level] = differences(blstm, lstm, flat, counts)
        cases = {
            "ours": lambda: blstm(flat, counts).sum().backward(),
            "padded to the longest": (lambda: lstm(padded)[0].sum().backward()),
            "pack_padded_sequence": (
                lambda: packed_outputs(lstm, padded, counts).sum().backward()
            ),
            "only the matrix products": matrix_products(bucket_shapes(counts)),
        }
        if level == "words":
            words_too = pad(padded.flatten(1), word_counts)
            words_too = words_too.view(-1, *padded.shape[1:])
            cases["padded to words x frames, as published"] = (
                lambda: lstm(words_too)[0].sum().backward()
            )
        for case, function in cases.items():
            seconds = median_seconds(function, threads, min_run_time)
            rows.append(Row(f"BLSTM over {level}", case, seconds, audio))
    return rows, equal
