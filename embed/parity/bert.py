"""A golden checkpoint of transformers.BertModel with seeded random weights.

The sentence embedding is the mean of the last layer without padding, L2-normalised, as
sentence-transformers computes it for the bundled model.
"""

import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from golden import enliven, folder, round_to, spread, write_json, write_tensors, write_weights
from tokens import small_sentence_tokenizer

CONTEXT = 64
TEXTS = ["", "cat", "a photo of a cat", "Two dogs playing in the snow, at night!", "猫 🐱 café", "a photo of a cat " * 30]


def make():
    path = folder("bert")
    words = small_sentence_tokenizer(path / "tokenizer.json")
    config = BertConfig(vocab_size=words, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=192, max_position_embeddings=CONTEXT)
    torch.manual_seed(11)
    model = BertModel(config, add_pooling_layer=False).float().eval()
    enliven(model, torch.Generator().manual_seed(11), gain=4.0)
    round_to(model, "float32")
    config.architectures = ["BertModel"]
    config.save_pretrained(path)
    write_weights(path, model, "float32")

    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    tokenizer.enable_truncation(CONTEXT)
    tokenizer.enable_padding(pad_id=0, pad_token="[PAD]")
    rows = tokenizer.encode_batch(TEXTS)
    ids = torch.tensor([row.ids for row in rows])
    mask = torch.tensor([row.attention_mask for row in rows])
    with torch.no_grad():
        hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
    weights = mask.unsqueeze(-1).float()
    mean = (hidden * weights).sum(1) / weights.sum(1)
    embeddings = torch.nn.functional.normalize(mean, dim=-1)
    assert spread(embeddings) < 0.97, spread(embeddings)
    write_tensors(path / "expected.safetensors", {"input_ids": ids, "attention_mask": mask, "text_embeds": embeddings})
    write_json(path / "expected.json", {"texts": TEXTS, "stored_as": "float32"})
