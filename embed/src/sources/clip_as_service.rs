//! CLIP-as-service's names of models, and the repositories on the hub that hold them.
//!
//! Models by OpenAI, LAION and others come in OpenCLIP's layout, from the repositories that
//! OpenCLIP 3.3 uses. A repository that has disappeared since is noticed at the download.

/// A model that CLIP-as-service supports.
#[derive(Debug)]
pub struct ServiceModel {
    /// CLIP-as-service's current name.
    pub name: &'static str,
    /// Names in its first versions.
    pub aliases: &'static [&'static str],
    /// Owner and name on the hub.
    pub hub: &'static str,
    /// Dimensions of an embedding.
    pub dim: usize,
    /// The side of the images that it reads, in pixels.
    pub image_size: u32,
    /// SPDX identifier, if the authors state one.
    pub license: Option<&'static str>,
    /// The form of the hub's copy.
    pub copy: HubCopy,
}

/// The steps from the hub's copy to a folder in a supported layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubCopy {
    /// None: the copy is in a supported layout.
    AsItIs,
    /// The copy is a text tower. Its image tower comes from this model on the hub.
    WithImagesOf(&'static str),
    /// The user has to follow these instructions.
    ByHand(&'static str),
}

/// All models that CLIP-as-service supports.
#[must_use]
pub fn service_models() -> &'static [ServiceModel] {
    &MODELS
}

/// Finds a model by its name or an alias.
pub(super) fn find(name: &str) -> Option<&'static ServiceModel> {
    MODELS
        .iter()
        .find(|model| model.name == name || model.aliases.contains(&name))
}

const MIT: Option<&str> = Some("MIT");
const AUTHORS_OWN: HubCopy = HubCopy::ByHand(
    "make a folder with tokenizer.json, with cn_clip's RN50.json and RBT3-chinese.json merged into \
     config.json, and with the hub's clip_cn_rn50.pt as pytorch_model.bin",
);

const fn model(
    name: &'static str,
    hub: &'static str,
    dim: usize,
    image_size: u32,
    license: Option<&'static str>,
) -> ServiceModel {
    ServiceModel {
        name,
        aliases: &[],
        hub,
        dim,
        image_size,
        license,
        copy: HubCopy::AsItIs,
    }
}

impl ServiceModel {
    const fn formerly(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    const fn with_copy(mut self, copy: HubCopy) -> Self {
        self.copy = copy;
        self
    }
}

#[rustfmt::skip] // one line per model
static MODELS: [ServiceModel; 37] = [
    model("RN50::openai", "timm/resnet50_clip.openai", 1024, 224, MIT).formerly(&["RN50"]),
    model("RN50::yfcc15m", "timm/resnet50_clip.yfcc15m", 1024, 224, MIT),
    model("RN50::cc12m", "timm/resnet50_clip.cc12m", 1024, 224, MIT),
    model("RN101::openai", "timm/resnet101_clip.openai", 512, 224, MIT).formerly(&["RN101"]),
    model("RN101::yfcc15m", "timm/resnet101_clip.yfcc15m", 512, 224, MIT),
    model("RN50x4::openai", "timm/resnet50x4_clip.openai", 640, 288, MIT).formerly(&["RN50x4"]),
    model("RN50x16::openai", "timm/resnet50x16_clip.openai", 768, 384, MIT).formerly(&["RN50x16"]),
    model("RN50x64::openai", "timm/resnet50x64_clip.openai", 1024, 448, MIT).formerly(&["RN50x64"]),
    model("ViT-B-32::openai", "timm/vit_base_patch32_clip_224.openai", 512, 224, MIT).formerly(&["ViT-B/32"]),
    model("ViT-B-32::laion2b_e16", "timm/vit_base_patch32_clip_224.laion2b_e16", 512, 224, MIT),
    model("ViT-B-32::laion400m_e31", "timm/vit_base_patch32_clip_224.laion400m_e31", 512, 224, MIT),
    model("ViT-B-32::laion400m_e32", "timm/vit_base_patch32_clip_224.laion400m_e32", 512, 224, MIT),
    model("ViT-B-32::laion2b-s34b-b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K", 512, 224, MIT),
    model("ViT-B-16::openai", "timm/vit_base_patch16_clip_224.openai", 512, 224, MIT).formerly(&["ViT-B/16"]),
    model("ViT-B-16::laion400m_e31", "timm/vit_base_patch16_clip_224.laion400m_e31", 512, 224, MIT),
    model("ViT-B-16::laion400m_e32", "timm/vit_base_patch16_clip_224.laion400m_e32", 512, 224, MIT),
    model("ViT-B-16-plus-240::laion400m_e31", "timm/vit_base_patch16_plus_clip_240.laion400m_e31", 640, 240, MIT),
    model("ViT-B-16-plus-240::laion400m_e32", "timm/vit_base_patch16_plus_clip_240.laion400m_e32", 640, 240, MIT),
    model("ViT-L-14::openai", "timm/vit_large_patch14_clip_224.openai", 768, 224, MIT).formerly(&["ViT-L/14"]),
    model("ViT-L-14-336::openai", "timm/vit_large_patch14_clip_336.openai", 768, 336, MIT).formerly(&["ViT-L/14@336px"]),
    model("ViT-L-14::laion400m_e31", "timm/vit_large_patch14_clip_224.laion400m_e31", 768, 224, MIT),
    model("ViT-L-14::laion400m_e32", "timm/vit_large_patch14_clip_224.laion400m_e32", 768, 224, MIT),
    model("ViT-L-14::laion2b-s32b-b82k", "laion/CLIP-ViT-L-14-laion2B-s32B-b82K", 768, 224, MIT),
    model("ViT-H-14::laion2b-s32b-b79k", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", 1024, 224, MIT),
    model("ViT-g-14::laion2b-s12b-b42k", "laion/CLIP-ViT-g-14-laion2B-s12B-b42K", 1024, 224, MIT),
    model("roberta-ViT-B-32::laion2b-s12b-b32k", "laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k", 512, 224, MIT),
    model("xlm-roberta-base-ViT-B-32::laion5b-s13b-b90k", "laion/CLIP-ViT-B-32-xlm-roberta-base-laion5B-s13B-b90k", 512, 224, MIT),
    model("xlm-roberta-large-ViT-H-14::frozen_laion5b_s13b_b90k", "laion/CLIP-ViT-H-14-frozen-xlm-roberta-large-laion5B-s13B-b90k", 1024, 224, MIT),
    model("M-CLIP/XLM-Roberta-Large-Vit-B-32", "M-CLIP/XLM-Roberta-Large-Vit-B-32", 512, 224, None).with_copy(HubCopy::WithImagesOf("timm/vit_base_patch32_clip_224.openai")),
    model("M-CLIP/XLM-Roberta-Large-Vit-L-14", "M-CLIP/XLM-Roberta-Large-Vit-L-14", 768, 224, None).with_copy(HubCopy::WithImagesOf("timm/vit_large_patch14_clip_224.openai")),
    model("M-CLIP/XLM-Roberta-Large-Vit-B-16Plus", "M-CLIP/XLM-Roberta-Large-Vit-B-16Plus", 640, 240, None).with_copy(HubCopy::WithImagesOf("timm/vit_base_patch16_plus_clip_240.laion400m_e32")),
    model("M-CLIP/LABSE-Vit-L-14", "M-CLIP/LABSE-Vit-L-14", 768, 224, None).with_copy(HubCopy::WithImagesOf("timm/vit_large_patch14_clip_224.openai")),
    model("CN-CLIP/RN50", "OFA-Sys/chinese-clip-rn50", 1024, 224, MIT).with_copy(AUTHORS_OWN),
    model("CN-CLIP/ViT-B-16", "OFA-Sys/chinese-clip-vit-base-patch16", 512, 224, MIT),
    model("CN-CLIP/ViT-L-14", "OFA-Sys/chinese-clip-vit-large-patch14", 768, 224, MIT),
    model("CN-CLIP/ViT-L-14-336", "OFA-Sys/chinese-clip-vit-large-patch14-336px", 768, 336, MIT),
    model("CN-CLIP/ViT-H-14", "OFA-Sys/chinese-clip-vit-huge-patch14", 1024, 224, MIT),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique() {
        let names: Vec<_> = MODELS
            .iter()
            .flat_map(|model| std::iter::once(&model.name).chain(model.aliases))
            .collect();
        let different: HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
    }

    #[test]
    fn first_names_lead_to_openai_s() {
        for (alias, name) in [
            ("ViT-B/32", "ViT-B-32::openai"),
            ("ViT-L/14@336px", "ViT-L-14-336::openai"),
            ("RN50x64", "RN50x64::openai"),
        ] {
            assert_eq!(find(alias).unwrap().name, name);
        }
        assert!(find("ViT-B-32").is_none());
    }
}
