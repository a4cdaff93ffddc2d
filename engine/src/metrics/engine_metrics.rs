//! The metrics of an open engine: its collections, models and vector segments.

use std::sync::{Arc, Weak};

use prometheus::proto::MetricFamily;

use crate::collection::slot;
use crate::engine::Engine;
use crate::metrics::metric::Value::Gauge;
use crate::metrics::metric::{Labels, Metric, TableCollector, describe};
use crate::metrics::{model_metrics, vector_metrics};

const COLLECTIONS: [Metric<usize>; 1] = [Metric {
    name: "clipdb_collections",
    help: "Collections, by whether they are online",
    value: Gauge(|count| *count as f64),
}];

const ENGINE: [Metric<Engine>; 2] = [
    Metric {
        name: "clipdb_collections_loaded",
        help: "Collections whose indexes are open",
        value: Gauge(|engine| engine.shared.open_indexes.len() as f64),
    },
    Metric {
        name: "clipdb_storage_stopped",
        help: "1 while storage accepts no writes",
        value: Gauge(|engine| f64::from(u8::from(engine.storage_stopped().is_some()))),
    },
];

/// Registers the metrics of `engine` for as long as it lives.
pub(crate) fn register(engine: &Arc<Engine>) -> Result<(), prometheus::Error> {
    let mut descriptions = describe(&COLLECTIONS)?;
    descriptions.append(&mut describe(&ENGINE)?);
    descriptions.append(&mut model_metrics::descriptions()?);
    descriptions.append(&mut vector_metrics::descriptions()?);
    let weak = Arc::downgrade(engine);
    let collector = TableCollector::new(descriptions, move || read(&weak));
    engine.statistics.registry().register(Box::new(collector))
}

fn read(engine: &Weak<Engine>) -> Vec<MetricFamily> {
    let Some(engine) = engine.upgrade() else {
        return Vec::new();
    };
    let collections = engine.collections.read().clone();
    let damaged = slot::damaged(&collections);
    let counts: [(Labels, usize); 2] = [
        (
            vec![("status", "open".to_owned())],
            collections.len() - damaged,
        ),
        (vec![("status", "damaged".to_owned())], damaged),
    ];
    let unlabelled = Labels::new();
    let mut families: Vec<MetricFamily> = COLLECTIONS
        .iter()
        .map(|metric| metric.family(counts.iter().map(|(labels, count)| (labels, count))))
        .collect();
    families.extend(ENGINE.map(|metric| metric.family([(&unlabelled, &*engine)])));
    families.append(&mut model_metrics::read(&engine.models));
    families.append(&mut vector_metrics::read(&collections));
    families
}
