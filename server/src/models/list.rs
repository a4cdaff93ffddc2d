//! The table of bundled, cached and known models.

use std::path::Path;

use clipdb_api::engine::{
    sources::CachedModel, sources::HubCopy, sources::ServiceModel, sources::bundled_models,
    sources::cached_models, sources::known_models, sources::service_models,
};

use crate::table;

const HEADER: [&str; 6] = ["model", "where", "dimensions", "size", "licence", "about"];
const UNKNOWN: &str = "?";

pub(super) fn table(cache: &Path) -> String {
    let cached = cached_models(cache);
    let bundled = bundled_models().iter().map(|model| {
        [
            model.name.to_owned(),
            "in the binary".to_owned(),
            model.dim.to_string(),
            megabytes(model.bytes()),
            model.license.to_owned(),
            model.about.to_owned(),
        ]
    });
    let known = known_models().iter().map(|model| {
        let here = cached.iter().find(|cached| cached.name == model.name);
        [
            model.name.to_owned(),
            if here.is_some() {
                "pulled"
            } else {
                "on the hub"
            }
            .to_owned(),
            model.dim.to_string(),
            megabytes(here.map_or(model.bytes, |here| here.bytes)),
            model.license.to_owned(),
            model.about.to_owned(),
        ]
    });
    let service = service_models().iter().map(|model| {
        let here = cached.iter().find(|cached| cached.name == model.hub);
        [
            model.name.to_owned(),
            match (here, model.copy) {
                (Some(_), _) => "pulled",
                (None, HubCopy::ByHand(_)) => "convert by hand",
                (None, _) => "on the hub",
            }
            .to_owned(),
            model.dim.to_string(),
            here.map_or(UNKNOWN.to_owned(), |here| megabytes(here.bytes)),
            model.license.unwrap_or(UNKNOWN).to_owned(),
            origin(model),
        ]
    });
    let unknown = |model: &&CachedModel| {
        known_models().iter().all(|known| known.name != model.name)
            && service_models().iter().all(|known| known.hub != model.name)
    };
    let others = cached.iter().filter(unknown).map(|model| {
        [
            model.name.clone(),
            "pulled".to_owned(),
            UNKNOWN.to_owned(),
            megabytes(model.bytes),
            UNKNOWN.to_owned(),
            "see 'clipdb models check'".to_owned(),
        ]
    });
    let rows: Vec<[String; 6]> = bundled.chain(known).chain(service).chain(others).collect();
    format!(
        "{}\nPulled models are in {}. 'clipdb models pull NAME' downloads one; names \
         with '::' and similar are those of CLIP-as-service. Any other model of the families in \
         docs/models.md works too, from the hub or a folder.\n",
        table::render(HEADER, &rows, table::columns()),
        cache.display()
    )
}

/// The hub id of a CLIP-as-service model, and its other names.
fn origin(model: &ServiceModel) -> String {
    match model.aliases {
        [] => model.hub.to_owned(),
        aliases => format!("{}; also {}", model.hub, aliases.join(", ")),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}
