import pytest
import torch
from helpers.corpora import bad_audio, build_store, write_wav

from speechbrain_can.features.cache import CacheError, FeatureCache
from speechbrain_can.features.segments import aligned_segments
from speechbrain_can.features.spectral import SegmentMFCC
from speechbrain_can.io.audio import AudioError, read_waveform

pytestmark = pytest.mark.training


@pytest.mark.parametrize("num_workers", [0, 2])
def test_cache_equals_module(tmp_path, small_corpus, num_workers):
    store = build_store(tmp_path, small_corpus, num_workers=num_workers)
    for name, row in small_corpus.items():
        waveform = read_waveform(tmp_path / "corpus" / f"{name}.wav", 16000)
        segments = aligned_segments(row.words)
        expected = SegmentMFCC()(waveform, torch.from_numpy(segments))
        frames, counts = store[name]
        assert torch.equal(frames, expected[0])
        assert torch.equal(counts, expected[1])


def test_statistics_of_selected_utterances(tmp_path, small_corpus):
    store = build_store(tmp_path, small_corpus)
    frames = torch.cat([store["a"][0], store["c"][0]]).double()
    mean, std = store.statistics(["a", "c"])
    torch.testing.assert_close(mean, frames.mean(0).float())
    torch.testing.assert_close(
        std, frames.std(0, unbiased=False).float(), atol=1e-4, rtol=1e-4
    )


def test_cache_is_reused(tmp_path, small_corpus):
    first = build_store(tmp_path, small_corpus)
    written = (first.folder / "frames.f32").stat().st_mtime_ns
    again = build_store(tmp_path, small_corpus)
    assert again.folder == first.folder
    assert (again.folder / "frames.f32").stat().st_mtime_ns == written
    assert (
        build_store(tmp_path, small_corpus, overlap=0.2).folder != first.folder
    )
    other = build_store(
        tmp_path, small_corpus, compute_features=SegmentMFCC(n_mels=64)
    )
    assert other.folder != first.folder


def test_changed_audio_is_computed_again(tmp_path, small_corpus):
    first = build_store(tmp_path, small_corpus)
    write_wav(tmp_path / "corpus" / "a.wav", 0.5, seed=99)
    second = build_store(tmp_path, small_corpus)
    assert second.folder != first.folder
    assert not torch.equal(second["a"][0], first["a"][0])


@pytest.mark.parametrize(
    "damage, name",
    [
        (lambda content: content[: len(content) // 2], "frames.f32"),
        (
            lambda content: content[:400] + bytes(400) + content[800:],
            "frames.f32",
        ),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "frames.f32"),
        (lambda content: b"", "frames.f32"),
        (lambda content: content[: len(content) // 2], "index.npz"),
        (lambda content: content[:200] + bytes(9) + content[209:], "index.npz"),
        (lambda content: b"", "index.npz"),
    ],
)
def test_damage_is_detected(tmp_path, small_corpus, damage, name):
    path = build_store(tmp_path, small_corpus).folder / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CacheError, match=f"{name} is damaged. Delete .* again"):
        store = build_store(tmp_path, small_corpus)
        for utterance in small_corpus:
            store[utterance]


@pytest.mark.parametrize("name", ["frames.f32", "index.npz"])
def test_missing_files_of_the_cache(tmp_path, small_corpus, name):
    """A cache without an index is computed again; missing frames are reported."""
    store = build_store(tmp_path, small_corpus)
    frames, _ = store["a"]
    (store.folder / name).unlink()
    if name == "frames.f32":
        with pytest.raises(CacheError, match="frames.f32 is damaged. Delete"):
            store["a"]
    else:
        again, _ = build_store(tmp_path, small_corpus)["a"]
        assert torch.equal(again, frames)


def test_flipped_bits_in_the_index_are_detected(tmp_path, small_corpus):
    store = build_store(tmp_path, small_corpus)
    path, ids = store.folder / "index.npz", list(small_corpus)
    mean, std = store.statistics(ids)
    content = path.read_bytes()
    noticed = 0
    for place in range(0, len(content), 7):
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            found = FeatureCache(store.folder)
            assert torch.equal(found.statistics(ids)[0], mean)
            assert torch.equal(found.statistics(ids)[1], std)
            for name in ids:
                for one, other in zip(found[name], store[name]):
                    assert torch.equal(one, other)
        except CacheError as error:
            assert "Delete" in str(error)
            noticed += 1
    assert noticed > len(content) / 7 / 2


def test_non_finite_features_are_refused(tmp_path, small_corpus):
    class Broken(SegmentMFCC):
        batch_size = 1

        def batch(self, waveforms, segments):
            ((frames, counts),) = super().batch(waveforms, segments)
            frames[-1, -1] = float("nan") if len(waveforms[0]) == 16000 else 0.0
            return [(frames, counts)]

    with pytest.raises(CacheError, match="c: the features of .*not finite"):
        build_store(tmp_path, small_corpus, compute_features=Broken())


def test_missing_audio_is_named(tmp_path, small_corpus):
    build_store(tmp_path, small_corpus)
    (tmp_path / "corpus" / "c.wav").unlink()
    with pytest.raises(
        CacheError, match="c: the audio file .*c.wav is missing"
    ):
        build_store(tmp_path, small_corpus)


def test_failed_caches_are_removed(tmp_path, small_corpus):
    bad_audio(tmp_path / "corpus" / "c.wav", "silent")
    with pytest.raises(AudioError, match="c.wav"):
        build_store(tmp_path, small_corpus)
    left = [p for p in (tmp_path / "features").iterdir() if p.is_dir()]
    assert left == []


def test_building_does_not_touch_the_global_generator(tmp_path, small_corpus):
    before = torch.get_rng_state()
    build_store(tmp_path, small_corpus)
    assert torch.equal(before, torch.get_rng_state())
