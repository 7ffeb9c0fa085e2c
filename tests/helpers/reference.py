"""Reference implementation of the paper's equations, one utterance and step at a time.

Nothing is batched, padded, packed or divided into buckets.
"""

import math

import torch


def softmax(scores):
    """Return the softmax of a list of numbers."""
    exponentials = [math.exp(score) for score in scores]
    return [e / sum(exponentials) for e in exponentials]


def linear(module, vector):
    """Apply a linear layer."""
    return module.weight @ vector + module.bias


def lstm(module, steps):
    """Run a unidirectional LSTM over a list of step vectors."""
    size = module.hidden_size
    hidden, cell = torch.zeros(size), torch.zeros(size)
    outputs = []
    for step in steps:
        gates = (
            module.weight_ih_l0 @ step
            + module.bias_ih_l0
            + module.weight_hh_l0 @ hidden
            + module.bias_hh_l0
        )
        take, forget, new, give = gates.split(size)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(take) * new.tanh()
        hidden = torch.sigmoid(give) * cell.tanh()
        outputs.append(hidden)
    return outputs


def blstm(module, steps):
    """Return the concatenated outputs of both directions (eqs 1-3)."""
    ahead = lstm(module.forward_lstm, steps)
    back = lstm(module.backward_lstm, steps[::-1])[::-1]
    return [torch.cat(pair) for pair in zip(ahead, back)]


def encode_text(module, words):
    """Return H^(T) of one utterance as a list of vectors."""
    table = module.embedding.weight
    index = module.embedding.index
    return blstm(module.blstm, [table[index.get(w, 0)] for w in words])


def encode_audio(module, word_frames):
    """Return H^(A) of one utterance from the frames of each of its words."""
    vectors = []
    for frames in word_frames:
        hidden = blstm(module.frame_encoder.blstm, list(frames))
        vectors.append(sum(hidden) / len(hidden))
    return blstm(module.blstm, vectors)


def attention_weights(query, hidden):
    """Return the attention weights of one head (eqs 4 and 5)."""
    return softmax([(query @ h).item() for h in hidden])


def cross_attention(module, text, audio):
    """Return the four contexts of one utterance (eqs 4-9)."""
    heads, size = module.text_attention.query.shape
    contexts = {"tt": [], "ta": [], "aa": [], "at": []}
    for head in range(heads):
        piece = slice(head * size, (head + 1) * size)
        text_piece = [h[piece] for h in text]
        audio_piece = [h[piece] for h in audio]
        from_text = attention_weights(
            module.text_attention.query[head], text_piece
        )
        from_audio = attention_weights(
            module.audio_attention.query[head], audio_piece
        )
        for name, weights, values in (
            ("tt", from_text, text_piece),
            ("ta", from_text, audio_piece),
            ("aa", from_audio, audio_piece),
            ("at", from_audio, text_piece),
        ):
            contexts[name].append(sum(w * v for w, v in zip(weights, values)))
    return {name: torch.cat(pieces) for name, pieces in contexts.items()}


def can_contexts(model, words, word_frames):
    """Return the contexts of CAN (eqs 1-9)."""
    return cross_attention(
        model.fusion,
        encode_text(model.text_encoder, words),
        encode_audio(model.audio_encoder, word_frames),
    )


def can(model, words, word_frames):
    """Return the three sets of logits of one utterance (eqs 10-12)."""
    contexts = can_contexts(model, words, word_frames)
    joint = torch.cat([contexts[name] for name in ("tt", "ta", "aa", "at")])
    return {
        "joint": linear(model.classifier.joint, joint),
        "text": linear(model.classifier.text, contexts["tt"]),
        "audio": linear(model.classifier.audio, contexts["aa"]),
    }


def decision(logits, weights):
    """Multiply and normalize the predictions (eq. 15)."""
    product = torch.ones_like(next(iter(logits.values())))
    for name, values in logits.items():
        probabilities = torch.tensor(softmax(values.tolist()))
        product = product * probabilities ** weights[name]
    return product / product.sum()


def global_attention(query, hidden):
    """Return z = sum_t softmax_t(u . h_t) h_t (Mirsamadi et al.)."""
    weights = attention_weights(query, hidden)
    return sum(w * h for w, h in zip(weights, hidden))


def text_model(model, words, word_frames):
    """Return the logits of TextModel for one utterance."""
    hidden = encode_text(model.text_encoder, words)
    context = global_attention(model.fusion.attention.query[0], hidden)
    return {"joint": linear(model.classifier.joint, context)}


def audio_model(model, words, word_frames):
    """Return the logits of AudioModel for one utterance."""
    frames = [frame for piece in word_frames for frame in piece]
    hidden = blstm(model.audio_encoder.blstm, frames)
    context = global_attention(model.fusion.attention.query[0], hidden)
    return {"joint": linear(model.classifier.joint, context)}


def multi_hop(model, words, word_frames):
    """Return the logits of Yoon et al. for one utterance."""
    frames = [frame for piece in word_frames for frame in piece]
    text = encode_text(model.text_encoder, words)
    audio = blstm(model.audio_encoder.blstm, frames)
    size = len(audio[0]) // 2
    last = torch.cat([audio[-1][:size], audio[0][size:]])
    projections = model.fusion.projections
    first = global_attention(linear(projections[0], last), text)
    if len(projections) == 1:
        return {
            "joint": linear(model.classifier.joint, torch.cat([first, last]))
        }
    second = global_attention(linear(projections[1], first), audio)
    if len(projections) == 2:
        return {
            "joint": linear(model.classifier.joint, torch.cat([first, second]))
        }
    third = global_attention(linear(projections[2], second), text)
    return {"joint": linear(model.classifier.joint, torch.cat([third, second]))}


def learned_alignment(model, words, word_frames):
    """Return the logits of Xu et al. for one utterance."""
    frames = [frame for piece in word_frames for frame in piece]
    text = encode_text(model.text_encoder, words)
    audio = blstm(model.audio_encoder.blstm, frames)
    v = model.fusion.frame_score.weight[0]
    u = model.fusion.word_score.weight[0]
    b = model.fusion.word_score.bias[0]
    pairs = []
    for h in text:
        weights = softmax(
            [math.tanh((v @ s + u @ h + b).item()) for s in audio]
        )
        gathered = sum(w * s for w, s in zip(weights, audio))
        pairs.append(torch.cat([gathered, h]))
    hidden = blstm(model.classifier.blstm, pairs)
    highest = torch.stack(hidden).max(dim=0).values
    dense = linear(model.classifier.dense, highest).clamp(min=0)
    return {"joint": linear(model.classifier.linear, dense)}


def uncrossed(model, words, word_frames):
    """Return the logits of CAN without cross attention for one utterance."""
    contexts = can_contexts(model, words, word_frames)
    both = torch.cat([contexts["tt"], contexts["aa"]])
    return {"joint": linear(model.classifier.joint, both)}
