//! Random documents, and their comparison with stored ones.

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::{Map, Value, json};

use super::collections::CollectionKind;
use super::vectors::GivenVectors;
use crate::client::{Client, Collection};
use crate::pictures;

const WORDS: [&str; 24] = [
    "anchor", "barley", "candle", "drizzle", "ember", "fjord", "granite", "harbour", "island",
    "jacket", "kettle", "lantern", "meadow", "nettle", "orchard", "pebble", "quarry", "ribbon",
    "saddle", "thistle", "umbrella", "velvet", "willow", "yarrow",
];

/// A document as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Document {
    pub text: Option<String>,
    /// The seed of its image.
    pub image: Option<u64>,
    /// Its given vectors; none if the model encodes the text and the image.
    pub vectors: GivenVectors,
    pub metadata: Map<String, Value>,
}

impl Document {
    pub(super) fn random(random: &mut StdRng, sort: CollectionKind) -> Self {
        let mut metadata = Map::new();
        metadata.insert("mark".into(), mark(random).into());
        metadata.insert("count".into(), random.random_range(0..1_000).into());
        metadata.insert(
            "place".into(),
            json!({ "city": word(random), "tags": [word(random), word(random)] }),
        );
        if sort == CollectionKind::Given {
            return Self {
                text: random.random_bool(0.3).then(|| text(random)),
                image: None,
                vectors: GivenVectors::random(random),
                metadata,
            };
        }
        let has_image = random.random_bool(0.12);
        if random.random_bool(0.03) {
            // So long that storage splits the record.
            let long = format!("{} ", word(random)).repeat(random.random_range(5_000..12_000));
            metadata.insert("long".into(), long.into());
        }
        Self {
            text: (!has_image || random.random_bool(0.5)).then(|| text(random)),
            // Few seeds, so that documents share images and release shared ones.
            image: has_image.then(|| random.random_range(0..40)),
            vectors: GivenVectors::default(),
            metadata,
        }
    }

    /// The body of the request that writes it.
    pub(super) fn body(&self, id: Option<&str>) -> Value {
        let mut body = json!({ "metadata": self.metadata });
        if let Some(id) = id {
            body["id"] = id.into();
        }
        if let Some(text) = &self.text {
            body["text"] = text.as_str().into();
        }
        if let Some(seed) = self.image {
            body["image"] = Client::image(&pictures::png(seed));
        }
        if let Some(vectors) = self.vectors.body() {
            body["vectors"] = vectors;
        }
        body
    }

    /// A random patch: the body of the request, and the document after it.
    pub(super) fn revised(&self, random: &mut StdRng) -> (Value, Self) {
        let mut revised = self.clone();
        let mark = mark(random);
        let mut body =
            json!({ "metadata": { "mark": mark, "place": { "city": null, "revised": true } } });
        revised.metadata.insert("mark".into(), mark.into());
        if let Some(Value::Object(place)) = revised.metadata.get_mut("place") {
            place.remove("city");
            place.insert("revised".into(), true.into());
        }
        if self.has_given_vectors() {
            // A new text or image would have to be encoded.
        } else if random.random_bool(0.4) {
            let text = text(random);
            body["text"] = text.as_str().into();
            revised.text = Some(text);
        } else if self.text.is_some() && random.random_bool(0.2) {
            let seed = random.random_range(0..40);
            body["image"] = Client::image(&pictures::png(seed));
            revised.image = Some(seed);
        }
        (body, revised)
    }

    /// Whether it has a vector of this kind.
    pub(super) fn has(&self, kind: &str) -> bool {
        if self.has_given_vectors() {
            return self.vectors.of(kind).is_some();
        }
        match kind {
            "image" => self.image.is_some(),
            _ => self.text.is_some(),
        }
    }

    pub(super) fn has_given_vectors(&self) -> bool {
        self.vectors != GivenVectors::default()
    }

    /// The number in its metadata by which documents are deleted with a filter.
    pub(super) fn count(&self) -> u64 {
        self.metadata["count"].as_u64().unwrap_or_default()
    }

    /// Its unique keyword.
    pub(super) fn mark(&self) -> &str {
        self.metadata["mark"].as_str().unwrap_or_default()
    }

    /// How `stored`, a listed document, differs from this one.
    pub(super) fn differs(&self, stored: &Value, collection: &Collection<'_>) -> Option<String> {
        let text = stored.get("text").and_then(Value::as_str);
        if text != self.text.as_deref() {
            return Some(format!("its text is {text:?}, not {:?}", self.text));
        }
        if stored["metadata"].as_object() != Some(&self.metadata) {
            let (found, written) = (&stored["metadata"]["mark"], self.mark());
            return Some(format!(
                "its metadata are those of {found}, not of {written}"
            ));
        }
        match (
            stored.get("image").is_some_and(|image| !image.is_null()),
            self.image,
        ) {
            (false, None) => None,
            (has_image, None) => {
                has_image.then(|| "it has an image and was written without one".to_owned())
            }
            (false, Some(_)) => Some("its image is missing".to_owned()),
            (true, Some(seed)) => {
                let id = stored["id"].as_str().unwrap_or_default();
                let image = collection.image(id);
                let intact = image.status == 200 && image.body == pictures::png(seed);
                (!intact).then(|| format!("the bytes of its image differ: {image:?}"))
            }
        }
    }
}

fn mark(random: &mut StdRng) -> String {
    format!("mark{:016x}", random.random::<u64>())
}

fn word(random: &mut StdRng) -> &'static str {
    WORDS.choose(random).copied().unwrap_or(WORDS[0])
}

fn text(random: &mut StdRng) -> String {
    let words = random.random_range(3..12);
    (0..words)
        .map(|_| word(random))
        .collect::<Vec<_>>()
        .join(" ")
}
