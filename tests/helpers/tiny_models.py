"""Tiny pretrained models with random weights, saved by the real libraries."""

import shutil

import torch
import transformers
from helpers.seeds import shifted
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)

HIDDEN = 16
SENTENCES = [
    "oh really i am so angry with you",
    "yes that is wonderful news",
    "don't you dare say it again please",
]
TRANSFORMER = {
    "hidden_size": HIDDEN,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
}
CONVOLUTIONS = {
    "conv_dim": (8, 8, 8),
    "conv_kernel": (10, 8, 4),
    "conv_stride": (10, 8, 4),
    "num_feat_extract_layers": 3,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}


def save_bert(folder, positions=24):
    """Save BERT with WordPiece."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=80, special_tokens=special)
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
    config = transformers.BertConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=positions,
        **TRANSFORMER,
    )
    transformers.BertModel(config).save_pretrained(folder)


def save_roberta(folder, positions=26):
    """Save RoBERTa with byte-level BPE; two positions are reserved for padding."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), add_prefix_space=True
    )
    transformers.RobertaTokenizerFast(
        tokenizer_object=tokenizer, add_prefix_space=True
    ).save_pretrained(folder)
    config = transformers.RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=positions,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **TRANSFORMER,
    )
    transformers.RobertaModel(config).save_pretrained(folder)


def save_unigram(folder, config_class, model_class):
    """Save a multilingual model with a SentencePiece vocabulary."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(
        vocab_size=60, special_tokens=special, unk_token="<unk>"
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
    ).save_pretrained(folder)
    config = config_class(
        vocab_size=tokenizer.get_vocab_size(),
        max_position_embeddings=26,
        pad_token_id=1,
        **TRANSFORMER,
    )
    model_class(config).save_pretrained(folder)


def save_t5(folder, tokenizer_folder):
    """Save an encoder-decoder model with the tokenizer of another model."""
    shutil.copytree(tokenizer_folder, folder)
    (folder / "model.safetensors").unlink()
    config = transformers.T5Config(
        vocab_size=80,
        d_model=HIDDEN,
        d_kv=8,
        d_ff=24,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
    )
    transformers.T5Model(config).save_pretrained(folder)


def save_speech(folder, config_class, model_class, rate=16000, **options):
    """Save a model such as wav2vec 2.0, with one frame per 320 samples."""
    config = config_class(**TRANSFORMER, **CONVOLUTIONS, **options)
    model_class(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(
        sampling_rate=rate, do_normalize=True
    ).save_pretrained(folder)


def save_whisper(folder):
    """Save Whisper with positions for 30 seconds and 24 tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = [
        *("<|endoftext|>", "<|startoftranscript|>", "<|translate|>"),
        *("<|transcribe|>", "<|notimestamps|>"),
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    transformers.WhisperTokenizerFast(
        tokenizer_object=tokenizer
    ).save_pretrained(folder)
    config = transformers.WhisperConfig(
        d_model=HIDDEN,
        encoder_layers=2,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=24,
        decoder_ffn_dim=24,
        max_source_positions=1500,
        max_target_positions=24,
        vocab_size=tokenizer.get_vocab_size(),
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=1,
    )
    transformers.WhisperModel(config).save_pretrained(folder)
    transformers.WhisperFeatureExtractor().save_pretrained(folder)


def save_all(folder):
    """Save every model in a folder of its name."""
    torch.manual_seed(shifted(0))
    save_bert(folder / "bert")
    save_roberta(folder / "roberta")
    save_unigram(
        folder / "xlm-roberta",
        transformers.XLMRobertaConfig,
        transformers.XLMRobertaModel,
    )
    save_unigram(
        folder / "deberta",
        transformers.DebertaV2Config,
        transformers.DebertaV2Model,
    )
    save_t5(folder / "t5", folder / "bert")
    save_speech(
        folder / "wav2vec2",
        transformers.Wav2Vec2Config,
        transformers.Wav2Vec2Model,
    )
    save_speech(
        folder / "hubert", transformers.HubertConfig, transformers.HubertModel
    )
    save_speech(
        folder / "wavlm", transformers.WavLMConfig, transformers.WavLMModel
    )
    save_whisper(folder / "whisper")
    return folder
