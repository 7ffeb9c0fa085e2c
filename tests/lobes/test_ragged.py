import pytest
import torch
from helpers import reference

from speechbrain_can.lobes import ragged
from speechbrain_can.lobes.ragged import (
    RaggedBLSTM,
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
@pytest.mark.parametrize("packed", [False, True])
def test_blstm_equals_each_sequence_alone(counts, packed):
    blstm = RaggedBLSTM(3, 4)
    flat = torch.randn(sum(counts), 3)
    output = blstm(flat, torch.tensor(counts), packed)
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


@pytest.mark.parametrize("bucket_cost", [0, 10, 300, 1e6])
def test_gradients_of_buckets_and_packing_agree(bucket_cost, monkeypatch):
    monkeypatch.setattr(ragged, "BUCKET_COST", bucket_cost)
    counts = torch.tensor([40, 2, 40, 39, 1, 17, 3, 3])
    flat = torch.randn(int(counts.sum()), 3, requires_grad=True)
    blstm = RaggedBLSTM(3, 4)
    seed = torch.randn(int(counts.sum()), 8)
    gradients = []
    for packed in (False, True):
        loss = (blstm(flat, counts, packed) * seed).sum()
        gradients.append(torch.autograd.grad(loss, [flat, *blstm.parameters()]))
    for left, right in zip(*gradients):
        torch.testing.assert_close(left, right, atol=1e-5, rtol=1e-5)


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


def test_gradients_equal_packed_sequences():
    counts = torch.tensor([40, 2, 40, 39, 1, 17, 3, 3])
    blstm = RaggedBLSTM(3, 4)
    flat = torch.randn(int(counts.sum()), 3, requires_grad=True)
    direction = torch.randn(len(flat), 8)
    inputs = [flat, *blstm.parameters()]
    ours, packed = (
        torch.autograd.grad((blstm(flat, counts, p) * direction).sum(), inputs)
        for p in (False, True)
    )
    for one, other in zip(ours, packed):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_gpu_packing_agrees_with_cpu():
    counts = torch.tensor([40, 2, 40, 39, 1, 17, 3, 3])
    blstm, flat = RaggedBLSTM(3, 4), torch.randn(145, 3)
    expected = blstm(flat, counts)
    found = blstm.cuda()(flat.cuda(), counts.cuda())
    torch.testing.assert_close(found.cpu(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("device, packs", [("cuda", True), ("cpu", False)])
def test_device_selects_the_method(device, packs, monkeypatch):
    """torch's fake tensors show the layout without a GPU."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    from speechbrain_can.lobes import ragged

    asked = []
    for name in ("_pack_layout", "_bucket_layout"):

        def layout(*arguments, name=name):
            asked.append(name)
            raise StopIteration

        monkeypatch.setattr(ragged, name, layout)
    with FakeTensorMode():
        flat = torch.empty(5, 3, device=device)
        with pytest.raises(StopIteration):
            RaggedBLSTM(3, 4)(flat, torch.tensor([2, 3]))
    assert asked == ["_pack_layout" if packs else "_bucket_layout"]


def test_buckets_minimize_cost():
    """Compared with all other ways to divide a few lengths into buckets."""
    counts = [31, 30, 30, 12, 11, 11, 10, 2, 2, 1]

    def cost(shapes):
        return sum(
            ragged.BUCKET_COST + time * (ragged.STEP_COST + width)
            for time, width in shapes
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
        found = ragged.bucket_shapes(torch.tensor(counts[:n][::-1]))
        assert cost(found) == best
        assert sum(width for _, width in found) == n
        assert [time for time, _ in found] == sorted(
            (time for time, _ in found), reverse=True
        )
