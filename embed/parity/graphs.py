"""Golden graphs for ONNX Runtime, in CLIP-as-service's layout and in Optimum's.

CLIP-as-service's folder holds two graphs and nothing else, so its text tower has CLIP's whole vocabulary at a
width of 8. Optimum's is one graph of both halves, exported from a checkpoint of this folder. Expected outputs
are the PyTorch model's, not the graph's.
"""

import shutil

import torch
from PIL import Image
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

import clip
from golden import GOLDEN, enliven, folder, write_expected
from tokens import CLIP_CONTEXT, clip_tokenizer

OPSET = 17
CHECKPOINT = "clip-vit-base-patch32"


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


def optimum():
    path = folder("onnx-optimum")
    model = CLIPModel.from_pretrained(GOLDEN / CHECKPOINT, attn_implementation="eager").float().eval()
    for name in ("config.json", "tokenizer.json", "preprocessor_config.json", "expected.json", "expected.safetensors"):
        shutil.copy(GOLDEN / CHECKPOINT / name, path / name)
    ids, pixels = torch.tensor([[998, 5, 6, 999]] * 2), torch.rand(3, 3, 224, 224)
    inputs = {"input_ids": ids, "pixel_values": pixels, "attention_mask": torch.ones_like(ids)}
    texts = {0: "text_batch_size", 1: "sequence_length"}
    axes = {"input_ids": texts, "attention_mask": texts, "pixel_values": {0: "image_batch_size"}, "text_embeds": {0: "text_batch_size"}, "image_embeds": {0: "image_batch_size"}}
    axes |= {"logits_per_image": {0: "image_batch_size", 1: "text_batch_size"}, "logits_per_text": {0: "text_batch_size", 1: "image_batch_size"}}
    export(Both(model), inputs, path / "model.onnx", ["logits_per_image", "logits_per_text", "text_embeds", "image_embeds"], axes)


def make():
    clip_as_service()
    optimum()
