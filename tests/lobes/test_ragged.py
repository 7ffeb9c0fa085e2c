import pytest
import torch
from helpers import reference

from speechbrain_can.lobes import ragged
from speechbrain_can.lobes.ragged import (
    CPU,
    GPU,
    Costs,
    RaggedBLSTM,
    bucket_shapes,
    mean_over_steps,
    pad,
    real_steps,
    step_positions,
)

pytestmark = pytest.mark.training

COUNTS = [
    [1],
    [5],
    [1, 1, 1],
    [3, 9, 1, 9, 4],
    [40, 2, 40, 39, 1, 17, 3, 3],
    [1, 120],
]


def pieces(flat, counts):
    return flat.split(counts)


@pytest.mark.parametrize("counts", COUNTS)
@pytest.mark.parametrize("costs", [CPU, GPU, Costs(0, 0, 2)])
def test_blstm_equals_each_sequence_alone(counts, costs):
    blstm = RaggedBLSTM(3, 4)
    flat = torch.randn(sum(counts), 3)
    output = blstm(flat, torch.tensor(counts), costs)
    for sequence, result in zip(pieces(flat, counts), pieces(output, counts)):
        expected = torch.stack(reference.blstm(blstm, list(sequence)))
        torch.testing.assert_close(result, expected, atol=1e-5, rtol=1e-5)


def test_blstm_is_torchs_bidirectional_lstm():
    blstm = RaggedBLSTM(3, 4)
    both = torch.nn.LSTM(3, 4, bidirectional=True)
    state = {
        f"{name}{suffix}": value
        for module, suffix in (
            (blstm.forward_lstm, ""),
            (blstm.backward_lstm, "_reverse"),
        )
        for name, value in module.state_dict().items()
    }
    both.load_state_dict(state)
    counts = [7, 2, 11]
    sequences = [torch.randn(count, 3) for count in counts]
    packed = torch.nn.utils.rnn.pack_sequence(sequences, enforce_sorted=False)
    padded, _ = torch.nn.utils.rnn.pad_packed_sequence(
        both(packed)[0], batch_first=True
    )
    output = blstm(torch.cat(sequences), torch.tensor(counts))
    torch.testing.assert_close(
        pad(output, torch.tensor(counts)), padded, atol=1e-6, rtol=1e-5
    )


def packed_blstm(blstm, flat, counts):
    """Return torch's bidirectional encoding of packed sequences."""
    sequences = list(flat.split(counts.tolist()))
    ahead, back = (
        torch.nn.utils.rnn.pack_sequence(each, enforce_sorted=False)
        for each in (sequences, [each.flip(0) for each in sequences])
    )
    pad_packed = torch.nn.utils.rnn.unpad_sequence
    both = []
    for lstm, packed in (
        (blstm.forward_lstm, ahead),
        (blstm.backward_lstm, back),
    ):
        padded, lengths = torch.nn.utils.rnn.pad_packed_sequence(
            lstm(packed)[0]
        )
        both.append(pad_packed(padded, lengths))
    return torch.cat([torch.cat([x, y.flip(0)], dim=1) for x, y in zip(*both)])


@pytest.mark.parametrize(
    "costs", [CPU, GPU, *(Costs(c, 3, 9) for c in (0, 10, 300, 1_000_000))]
)
def test_gradients_equal_packed_sequences(costs):
    counts = torch.tensor([40, 2, 40, 39, 1, 17, 3, 3])
    blstm = RaggedBLSTM(3, 4)
    flat = torch.randn(int(counts.sum()), 3, requires_grad=True)
    direction = torch.randn(len(flat), 8)
    inputs = [flat, *blstm.parameters()]
    ours, packed = (
        torch.autograd.grad((output * direction).sum(), inputs)
        for output in (
            blstm(flat, counts, costs),
            packed_blstm(blstm, flat, counts),
        )
    )
    for one, other in zip(ours, packed):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_step_positions():
    counts = [2, 1, 4]
    sequences, positions = step_positions(torch.tensor(counts))
    expected = [(s, p) for s, n in enumerate(counts) for p in range(n)]
    assert list(zip(sequences.tolist(), positions.tolist())) == expected


def test_pad_and_mask():
    counts = [2, 1, 3]
    flat = torch.randn(6, 5)
    padded = pad(flat, torch.tensor(counts))
    mask = real_steps(torch.tensor(counts))
    assert padded.shape == (3, 3, 5) and mask.shape == (3, 3)
    for row, valid, sequence in zip(padded, mask, pieces(flat, counts)):
        assert torch.equal(row[valid], sequence)
        assert (row[~valid] == 0).all()


def test_mean_over_steps():
    counts = [2, 1, 3]
    flat = torch.randn(6, 5)
    expected = [sequence.mean(0) for sequence in pieces(flat, counts)]
    torch.testing.assert_close(
        mean_over_steps(flat, torch.tensor(counts)), torch.stack(expected)
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("dtype", [None, torch.float16, torch.bfloat16])
def test_gpu_agrees_with_cpu(dtype):
    counts = torch.tensor([40, 2, 40, 39, 1, 17, 3, 3])
    blstm, flat = RaggedBLSTM(3, 4), torch.randn(145, 3)
    expected = blstm(flat, counts)
    expected.square().sum().backward()
    gradients = [p.grad.clone() for p in blstm.parameters()]
    blstm.zero_grad()
    tf32 = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        with torch.autocast("cuda", dtype=dtype, enabled=dtype is not None):
            found = blstm.cuda()(flat.cuda(), counts).float()
        found.square().sum().backward()
    finally:
        torch.backends.cudnn.allow_tf32 = tf32
    close = {"atol": 1e-2, "rtol": 1e-2} if dtype == torch.float16 else {}
    close = close or {"atol": 1e-5, "rtol": 1e-4}
    torch.testing.assert_close(found.cpu(), expected, **close)
    for parameter, gradient in zip(blstm.parameters(), gradients):
        torch.testing.assert_close(parameter.grad.cpu(), gradient, **close)


@pytest.mark.parametrize("device, costs", [("meta", GPU), ("cpu", CPU)])
def test_device_selects_the_buckets(device, costs, monkeypatch):
    asked = []

    def shapes(counts, costs):
        asked.append(costs)
        return bucket_shapes(counts, costs)

    monkeypatch.setattr(ragged, "bucket_shapes", shapes)
    flat = torch.empty(5, 3, device=device)
    output = RaggedBLSTM(3, 4).to(device)(flat, torch.tensor([2, 3]))
    assert asked == [costs] and output.device.type == device


def test_few_buckets_on_a_gpu():
    generator = torch.Generator().manual_seed(0)
    counts = 3 + (torch.rand(610, generator=generator) ** 3 * 255).long()
    assert len(bucket_shapes(counts, GPU)) <= 3 < len(bucket_shapes(counts))


def test_padding_on_a_gpu_is_bounded():
    """Words of minutes must not multiply the memory of all others."""
    counts = torch.tensor([30] * 600 + [20_000] * 2 + [5000] * 30)
    shapes = bucket_shapes(counts, GPU)
    padded = sum(time * width for time, width in shapes)
    assert padded <= max(ragged.MOST_PADDED, 2 * int(counts.sum()))
    # many lengths, for which one bucket would be fastest
    counts = torch.arange(1, 4000)
    padded = sum(time * width for time, width in bucket_shapes(counts, GPU))
    assert padded <= max(ragged.MOST_PADDED, 2 * int(counts.sum()))


def test_buckets_minimize_cost():
    """Compared with all other ways to divide a few lengths into buckets."""
    counts = [31, 30, 30, 12, 11, 11, 10, 2, 2, 1]

    def cost(shapes):
        return sum(
            CPU.bucket + time * (CPU.step + width) for time, width in shapes
        )

    def cuts(rest):
        """Yield all ways to divide decreasing counts, as shapes."""
        if not rest:
            yield []
        for i in range(1, len(rest) + 1):
            for others in cuts(rest[i:]):
                yield [(rest[0], i), *others]

    for n in (1, 5, 10):
        best = min(map(cost, cuts(counts[:n])))
        found = bucket_shapes(torch.tensor(counts[:n][::-1]))
        assert cost(found) == best
        assert sum(width for _, width in found) == n
        assert [time for time, _ in found] == sorted(
            (time for time, _ in found), reverse=True
        )
