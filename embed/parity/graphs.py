"""Golden graphs for ONNX Runtime, in CLIP-as-service's layout and in Optimum's.

CLIP-as-service's folder contains only two graphs, so its text tower has CLIP's complete vocabulary at a
width of 8. Optimum's are one graph with both towers, exported from checkpoints of this folder, CLIP's and Chinese-CLIP's.
Others are one graph completely in f16, one of SigLIP, and a sentence model in four graphs: one row per token or one row
per text, in f32 or f16. Expected outputs are the PyTorch model's, not the graph's.
"""

import math
import shutil

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import BertConfig, BertModel, ChineseCLIPModel, CLIPConfig, CLIPImageProcessorPil, CLIPModel, SiglipConfig, SiglipModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

import clip
import sentences
import siglip
import tiny_tokenizers
from golden import GOLDEN, enliven, folder, round_to, write_expected, write_json, write_weights
from tokens import CLIP_CONTEXT, clip_tokenizer, save_compact

OPSET = 17


class Textual(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model.get_text_features(input_ids=input_ids, attention_mask=attention_mask).pooler_output


class Visual(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, pixel_values):
        return self.model.get_image_features(pixel_values=pixel_values).pooler_output


class Both(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, pixel_values, attention_mask):
        out = self.model(input_ids=input_ids, pixel_values=pixel_values, attention_mask=attention_mask)
        return out.logits_per_image, out.logits_per_text, out.text_embeds, out.image_embeds


def export(module, inputs, path, outputs, axes):
    torch.onnx.export(
        module.eval(), tuple(inputs.values()), str(path), input_names=list(inputs), output_names=outputs,
        dynamic_axes=axes, opset_version=OPSET, dynamo=False,
    )


def clip_as_service():
    path = folder("onnx-clip-as-service")
    tokenizer = clip_tokenizer()
    vision = dict(patch=32, vision=(32, 2, 2), text=(8, 1, 2), projection=24, act="quick_gelu", eos=tokenizer.eos_token_id)
    torch.manual_seed(11)
    config = clip.configuration(**vision, vocabulary=len(tokenizer), bos=tokenizer.bos_token_id)
    config._attn_implementation = "eager"
    model = CLIPModel(config).float().eval()
    enliven(model, torch.Generator().manual_seed(11), gain=5.0)
    encoded = tokenizer(clip.TEXTS, truncation=True, max_length=CLIP_CONTEXT, padding="max_length", return_tensors="pt")
    pictures = [Image.open(GOLDEN / name) for name in clip.PICTURES]
    pixels = CLIPImageProcessorPil()(pictures, return_tensors="pt")["pixel_values"].float()
    ids, mask = encoded["input_ids"], encoded["attention_mask"]
    with torch.no_grad():
        texts = model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output
        images = model.get_image_features(pixel_values=pixels).pooler_output
    write_expected(path, "float32", clip.TEXTS, texts, clip.PICTURES, images)
    several = {0: "batch"}
    export(Textual(model), {"input_ids": ids[:2], "attention_mask": mask[:2]}, path / "textual.onnx", ["output"], {"input_ids": several, "attention_mask": several, "output": several})
    export(Visual(model), {"pixel_values": pixels[:2]}, path / "visual.onnx", ["output"], {"pixel_values": several, "output": several})


def optimum(name, kind, checkpoint, row):
    """`row` is the tokens of one text, for tracing."""
    path = folder(name)
    model = kind.from_pretrained(GOLDEN / checkpoint, attn_implementation="eager").float().eval()
    for name in ("config.json", "tokenizer.json", "preprocessor_config.json", "expected.json", "expected.safetensors"):
        shutil.copy(GOLDEN / checkpoint / name, path / name)
    ids, pixels = torch.tensor([row] * 2), torch.rand(3, 3, 224, 224)
    inputs = {"input_ids": ids, "pixel_values": pixels, "attention_mask": torch.ones_like(ids)}
    export(Both(model), inputs, path / "model.onnx", ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"], both_axes())


def both_axes(mask=True):
    texts = {0: "text_batch_size", 1: "sequence_length"}
    axes = {"input_ids": texts, "pixel_values": {0: "image_batch_size"}, "text_embeds": {0: "text_batch_size"}, "image_embeds": {0: "image_batch_size"}}
    axes |= {"logits_per_image": {0: "image_batch_size", 1: "text_batch_size"}, "logits_per_text": {0: "text_batch_size", 1: "image_batch_size"}}
    return axes | ({"attention_mask": texts} if mask else {})


def halves():
    """In f16 from the pixels to the logits, with a scale that differs from CLIP's initial and maximum value."""
    path = folder("onnx-fp16")
    tokenizer = clip_tokenizer(clip.MERGES)
    shape = dict(patch=32, vision=(16, 2, 2), text=(16, 2, 2), projection=16)
    torch.manual_seed(12)
    config = clip.configuration(**shape, act="quick_gelu", eos=999, vocabulary=len(tokenizer), bos=tokenizer.bos_token_id)
    config._attn_implementation = "eager"
    config.architectures = ["CLIPModel"]
    model = CLIPModel(config).float().eval()
    enliven(model, torch.Generator().manual_seed(12), gain=5.0)
    with torch.no_grad():
        model.logit_scale.fill_(math.log(37.5))
    round_to(model, "float16")
    config.save_pretrained(path)
    save_compact(tokenizer, path / "tokenizer.json")
    clip.expect(path, model, tokenizer, "float16")
    ids = torch.tensor([[998, 5, 6, 999]] * 2)
    inputs = {"input_ids": ids, "pixel_values": torch.rand(3, 3, 224, 224).half(), "attention_mask": torch.ones_like(ids)}
    export(Both(model.half()), inputs, path / "model_fp16.onnx", ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"], both_axes())


class BothSiglip(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, pixel_values):
        out = self.model(input_ids=input_ids, pixel_values=pixel_values)
        return out.logits_per_image, out.logits_per_text, out.text_embeds, out.image_embeds


class Pooler(torch.nn.Module):
    def __init__(self, tower):
        super().__init__()
        self.tower = tower

    def forward(self, given):
        out = self.tower(given)
        return out.last_hidden_state, out.pooler_output


def siglips():
    """transformers.js' layout of SigLIP: both towers in one graph, and each in a graph with the output `pooler_output`."""
    path = folder("onnx-siglip")
    words = tiny_tokenizers.siglip(path, words=400)
    layers = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
    config = SiglipConfig(text_config=dict(layers, vocab_size=words.get_vocab_size()), vision_config=dict(layers, image_size=64, patch_size=16))
    config._attn_implementation = "eager"
    config.architectures = ["SiglipModel"]
    torch.manual_seed(13)
    model = SiglipModel(config).float().eval()
    enliven(model, torch.Generator().manual_seed(13), gain=8.0)
    with torch.no_grad():
        model.logit_scale.fill_(4.7)
        model.logit_bias.fill_(-12.9)
    config.save_pretrained(path)
    processor = SiglipImageProcessorPil(size={"height": 64, "width": 64}, resample=3)
    settings = processor.to_dict()
    settings["image_processor_type"] = "SiglipImageProcessor"
    write_json(path / "preprocessor_config.json", settings)
    pixels = processor([Image.open(GOLDEN / picture) for picture in siglip.PICTURES], return_tensors="pt")["pixel_values"].float()
    ids, _ = tiny_tokenizers.rows(words, [text.lower() for text in siglip.TEXTS], siglip.CONTEXT, 1, to=siglip.CONTEXT)
    with torch.no_grad():
        out = model(input_ids=ids, pixel_values=pixels)
    write_expected(path, "float32", siglip.TEXTS, out.text_embeds, siglip.PICTURES, out.image_embeds, alike=0.999, logits=out.logits_per_text)
    export(BothSiglip(model), {"input_ids": ids[:2], "pixel_values": pixels}, path / "model.onnx", ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"], both_axes(mask=False))
    several = {0: "batch"}
    for name, tower, given in (("text", model.text_model, ("input_ids", ids[:2])), ("vision", model.vision_model, ("pixel_values", pixels))):
        outputs = ["last_hidden_state", "pooler_output"]
        axes = {given[0]: several, **{output: several for output in outputs}}
        export(Pooler(tower), dict([given]), path / f"{name}_model.onnx", outputs, axes)


class Tokens(torch.nn.Module):
    """Optimum's export of a transformer."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask, token_type_ids):
        return self.model(input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).last_hidden_state


class Sentences(torch.nn.Module):
    """Optimum's export of sentence-transformers: all modules, including the dense layer and the normalisation."""

    def __init__(self, model, dense):
        super().__init__()
        self.model, self.dense = model, dense

    def forward(self, input_ids, attention_mask):
        hidden = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weights).sum(1) / weights.sum(1)
        return hidden, torch.nn.functional.normalize(torch.tanh(self.dense(pooled)))


def sentence():
    path = folder("onnx-sentence")
    tokenizer = sentences.bert_tokenizer(path)
    prompts = {"query": "query: ", "passage": "passage: "}
    config = BertConfig(vocab_size=tokenizer.get_vocab_size(), max_position_embeddings=64, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    config._attn_implementation = "eager"
    config.architectures = ["BertModel"]
    torch.manual_seed(14)
    model = BertModel(config, add_pooling_layer=False).float().eval()
    enliven(model, torch.Generator().manual_seed(14), gain=14.0)
    dense = torch.nn.Linear(16, 12)
    round_to(model, "float16")
    round_to(dense, "float16")
    config.save_pretrained(path)
    write_weights(path, model, "float16")
    sentences.modules(path, "mean", True)
    write_json(path / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None})
    place = folder("onnx-sentence", "2_Dense")
    write_json(place / "config.json", {"in_features": 16, "out_features": 12, "bias": True, "activation_function": "torch.nn.modules.activation.Tanh"})
    save_file({f"linear.{key}": value for key, value in dense.state_dict().items()}, place / "model.safetensors")
    whole = Sentences(model, dense)

    def embed(texts):
        with torch.no_grad():
            return whole(*tiny_tokenizers.rows(tokenizer, texts, sentences.CONTEXT, 0))[1]

    roles = {f"{role}_embeds": embed([prompts[name] + text for text in sentences.TEXTS]) for role, name in (("query", "query"), ("document", "passage"))}
    write_expected(path, "float16", sentences.TEXTS, embed(sentences.TEXTS), alike=0.999, **roles)
    ids = torch.tensor([[2, 30, 40, 3]] * 2)
    texts = {0: "batch", 1: "length"}
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    axes = dict.fromkeys(inputs, texts)
    graphs = folder("onnx-sentence", "onnx")
    for name in ("model", "model_fp16"):
        export(Tokens(model), inputs, graphs / f"{name}.onnx", ["last_hidden_state"], axes | {"last_hidden_state": texts})
        del inputs["token_type_ids"], axes["token_type_ids"]
        export(whole, inputs, graphs / f"{name}_pooled.onnx", ["token_embeddings", "sentence_embedding"], axes | {"token_embeddings": texts, "sentence_embedding": {0: "batch"}})
        inputs |= {"token_type_ids": torch.zeros_like(ids)}
        axes |= {"token_type_ids": texts}
        model, whole = model.half(), whole.half()


def make():
    clip_as_service()
    optimum("onnx-optimum", CLIPModel, "clip-vit-base-patch32", [998, 5, 6, 999])
    optimum("onnx-chinese-clip", ChineseCLIPModel, "chinese-clip-vit-b-16", [2, 30, 40, 3])
    halves()
    siglips()
    sentence()
