//! The replicas of a model: their device threads and their joint description.

use std::sync::Arc;

use crate::queue::Queue;
use crate::statistics::Counters;
use crate::worker::{self, DeviceThread, Loaded};
use crate::{EmbedError, EncoderSettings, ModelCard, ModelSource};

/// The limit on inputs in flight. Each may hold an image: 150 KB at 224 pixels.
const MAX_IN_FLIGHT: usize = 1024;

pub(crate) struct Replicas {
    /// The description of the model, with the devices and the number of all replicas.
    pub card: ModelCard,
    /// Two batches per replica, up to a limit: one is prepared while the other is computed.
    pub two_batches_each: usize,
    _threads: Vec<DeviceThread>,
}

impl Replicas {
    /// Loads the model once per replica and device, and starts the device threads. Blocks.
    pub fn start(
        source: &ModelSource,
        settings: &EncoderSettings,
        queue: &Arc<Queue>,
        counters: &Arc<Counters>,
    ) -> Result<Self, EmbedError> {
        let mut threads = Vec::new();
        let mut two_batches_each = 0;
        let mut card: Option<ModelCard> = None;
        for device in settings.devices.iter() {
            for replica in 0..settings.replicas {
                let (loaded, thread) = worker::start(source, settings, device, queue, counters)?;
                threads.push(thread);
                two_batches_each += 2 * loaded.largest_batch.min(MAX_IN_FLIGHT);
                add_to_card(&mut card, loaded, replica);
            }
        }
        let mut card = card.ok_or(EmbedError::Setting {
            setting: "replicas",
            value: "0".to_owned(),
            expected: "use 1 or more",
        })?;
        card.replicas = threads.len();
        Ok(Self {
            card,
            two_batches_each: two_batches_each.min(MAX_IN_FLIGHT),
            _threads: threads,
        })
    }
}

/// Replicas differ only in their device: the first replica of each device adds its name.
fn add_to_card(card: &mut Option<ModelCard>, loaded: Loaded, replica: usize) {
    match card {
        None => *card = Some(loaded.card),
        Some(card) if replica == 0 => card.device += &format!(", {}", loaded.card.device),
        Some(_) => {}
    }
}
