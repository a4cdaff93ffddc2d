"""Small tokenizers of the kinds that other families use, trained on a handful of sentences: comparing
tokenization does not require a published vocabulary.

The unigram trainer sums in arbitrary order, so a new run finds other tokens. A folder's expected
outputs are computed with its tokenizer and only valid together with it.
"""

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from golden import write_json
from texts import texts


def corpus():
    return [text for text in texts() if len(text) < 200] * 3


def roberta(path, words=700):
    """RoBERTa's: byte-level BPE, <s> … </s>, padding is 1."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    trainer = trainers.BpeTrainer(vocab_size=words, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return save(tokenizer, path, "<pad>")


def xlm_roberta(path, words=700):
    """XLM-RoBERTa's: SentencePiece's unigrams, <s> … </s>, padding is 1."""
    tokenizer = unigrams(normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]), ["<s>", "<pad>", "</s>", "<unk>"], words)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return save(tokenizer, path, "<pad>")


def siglip(path, words=700):
    """SigLIP's: lower-case unigrams without punctuation, … </s>, which is also the padding."""
    normalizer = normalizers.Sequence([normalizers.Lowercase(), normalizers.Replace(Regex(r"[!-/:-@\[-`{-~]"), ""), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()])
    tokenizer = unigrams(normalizer, ["<pad>", "</s>", "<unk>"], words)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return save(tokenizer, path, "</s>")


def siglip2(path, words=900):
    """Gemma's as SigLIP 2 has it: BPE with byte fallback, … <eos>. It does not convert to lower case."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    alphabet = sorted({letter for text in corpus() for letter in text if letter.isascii() and letter.isprintable() and letter != " "}) + ["▁"]
    trainer = trainers.BpeTrainer(vocab_size=words, special_tokens=special, initial_alphabet=alphabet, limit_alphabet=len(alphabet), show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A <eos>", special_tokens=[("<eos>", 1)])
    return save(tokenizer, path, "<pad>")


def chinese(path):
    """Chinese BERT's: one token per character, [CLS] … [SEP], padding is 0."""
    characters = sorted({letter for text in corpus() for letter in text.lower() if letter.isprintable() and not letter.isspace()})[:600]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    ascii_pieces = ["##" + chr(code) for code in range(ord("a"), ord("z") + 1)]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(special + characters + ascii_pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return save(tokenizer, path, "[PAD]")


def unigrams(normalizer, special, words):
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    trainer = trainers.UnigramTrainer(vocab_size=words, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def save(tokenizer, path, pad_token):
    """Writes `tokenizer.json` and `tokenizer_config.json` and returns the tokenizer."""
    path.joinpath("tokenizer.json").write_text(tokenizer.to_str(pretty=False) + "\n", encoding="utf-8")
    write_json(path / "tokenizer_config.json", {"pad_token": pad_token})
    return tokenizer


def rows(tokenizer, texts, length, pad, to=None):
    """Ids and mask, truncated to `length`, padded to the longest or to `to`."""
    import torch

    tokenizer.enable_truncation(length)
    encoded = [row.ids for row in tokenizer.encode_batch(texts)]
    tokenizer.no_truncation()
    longest = to or max(len(row) for row in encoded)
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in encoded])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in encoded])
    return ids, mask
