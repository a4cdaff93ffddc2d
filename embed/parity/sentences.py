"""Golden folders in sentence-transformers' layout, computed only with transformers.

Each folder's files define the behaviour of sentence-transformers: the pooling, the dense layer, the
length, the prompts.
"""

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel, XLMRobertaConfig, XLMRobertaModel

import tiny_tokenizers
from golden import enliven, folder, round_to, write_expected, write_json, write_weights
from tokens import small_sentence_tokenizer

TEXTS = ["", "cat", "a photo of a cat", "Two dogs playing in the snow, at night!", "猫 🐱 café", "a photo of a cat " * 30]
CONTEXT = 48  # less than the number of positions
SHAPE = dict(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96)


def bert_tokenizer(path):
    small_sentence_tokenizer(path / "tokenizer.json")
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    tokenizer.no_padding()
    return tokenizer


# configuration, model, tokenizer, padding, pooling, dense (out, activation), prompts
FOLDERS = {
    "sentence-bert-cls": (BertConfig, BertModel, bert_tokenizer, 0, "cls", None, {"query": "Represent this sentence: "}),
    "sentence-xlm-roberta": (XLMRobertaConfig, XLMRobertaModel, tiny_tokenizers.xlm_roberta, 1, "mean", None, {"query": "query: ", "passage": "passage: "}),
    "sentence-roberta": (RobertaConfig, RobertaModel, tiny_tokenizers.roberta, 1, "mean", None, {}),
    "sentence-labse": (BertConfig, BertModel, bert_tokenizer, 0, "cls", (40, "torch.nn.modules.activation.Tanh"), {}),
}


def modules(path, pooling, dense):
    parts = [("", "Transformer"), ("1_Pooling", "Pooling")] + ([("2_Dense", "Dense")] if dense else []) + [("9_Normalize", "Normalize")]
    write_json(path / "modules.json", [{"idx": number, "name": str(number), "path": part, "type": f"sentence_transformers.models.{kind}"} for number, (part, kind) in enumerate(parts)])
    modes = {"pooling_mode_cls_token": pooling == "cls", "pooling_mode_mean_tokens": pooling == "mean", "pooling_mode_max_tokens": False}
    write_json(folder(path.name, "1_Pooling") / "config.json", {"word_embedding_dimension": SHAPE["hidden_size"], **modes})
    write_json(path / "sentence_bert_config.json", {"max_seq_length": CONTEXT, "do_lower_case": False})


def make():
    for seed, (name, (configuration, network, make_tokenizer, pad, pooling, dense, prompts)) in enumerate(FOLDERS.items()):
        path = folder(name)
        tokenizer = make_tokenizer(path)
        generator = torch.Generator().manual_seed(400 + seed)
        config = configuration(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=64, pad_token_id=pad, layer_norm_eps=1e-12 if pad == 0 else 1e-5, type_vocab_size=2 if pad == 0 else 1, **SHAPE)
        torch.manual_seed(400 + seed)
        model = network(config, add_pooling_layer=True).float().eval()
        enliven(model, generator, gain=12.0 if pooling == "cls" else 4.0)
        round_to(model, "float16")
        config.architectures = [network.__name__]
        config.save_pretrained(path)
        write_weights(path, model, "float16")
        modules(path, pooling, dense)
        if prompts:
            write_json(path / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None, "similarity_fn_name": "cosine"})
        layer = None
        if dense:
            width, activation = dense
            layer = torch.nn.Linear(SHAPE["hidden_size"], width)
            round_to(layer, "float16")
            place = folder(name, "2_Dense")
            write_json(place / "config.json", {"in_features": SHAPE["hidden_size"], "out_features": width, "bias": True, "activation_function": activation})
            save_file({f"linear.{key}": value.half() for key, value in layer.state_dict().items()}, place / "model.safetensors")

        def embed(texts):
            ids, mask = tiny_tokenizers.rows(tokenizer, texts, CONTEXT, pad)
            with torch.no_grad():
                hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state
                weights = mask.unsqueeze(-1).float()
                features = hidden[:, 0] if pooling == "cls" else (hidden * weights).sum(1) / weights.sum(1)
                return torch.tanh(layer(features)) if layer else features

        roles = {}
        if prompts:
            query, document = prompts["query"], prompts.get("passage", "")
            normalize = torch.nn.functional.normalize
            roles = {"query_embeds": normalize(embed([query + text for text in TEXTS])), "document_embeds": normalize(embed([document + text for text in TEXTS]))}
        write_expected(path, "float16", TEXTS, embed(TEXTS), alike=0.995, **roles)
