//! The handle to a loaded model.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::decoding::Decoding;
use crate::image::{ImageLimits, Preprocessor, Wanted};
use crate::layouts;
use crate::pool::{Pool, Weight};
use crate::queue::{Embedded, Entry, Queue};
use crate::sources::PREPROCESSOR;
use crate::statistics::{Counters, QueueStatistics, micros};
use crate::tokens::Tokens;
use crate::worker::{self, DeviceThread};
use crate::{
    EmbedError, EncoderSettings, ImageEmbedding, LongText, ModelCard, ModelSource,
    PassageEmbedding, Priority, TextEmbedding, TextRole, TextTokens, Timings,
};

/// A loaded model; clones share it. When the last one is dropped what waits is still
/// answered, then the model's threads are joined: that drop blocks for a batch or so.
#[derive(Clone)]
pub struct Encoder {
    shared: Arc<Shared>,
}

/// Whatever the batches: each may hold a picture, 150 KB at 224 pixels.
const MOST_PLACES: usize = 1024;

struct Shared {
    card: ModelCard,
    tokens: Arc<Tokens>,
    /// None when the model has no image tower.
    preprocessor: Option<Arc<Preprocessor>>,
    decoding: Decoding,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    places: usize,
    _devices: Vec<DeviceThread>,
}

impl Encoder {
    /// Loads a model and starts its threads. Blocks, seconds for a large model.
    ///
    /// # Errors
    /// Names the file, the tensor or the setting that is at fault.
    pub fn load(source: &ModelSource, settings: &EncoderSettings) -> Result<Self, EmbedError> {
        crate::allocation::reuse_large_blocks();
        let layout = layouts::open(source, settings)?;
        let preprocessor = layout.preprocessor()?;
        let mut tokens = layout.tokens()?;
        let counters = Arc::new(Counters::default());
        let queue = Arc::new(Queue::new(settings.queue_capacity, Arc::clone(&counters)));
        let mut devices = Vec::new();
        let mut card: Option<ModelCard> = None;
        // One batch is made ready while another is computed.
        let mut two_batches_each = 0;
        for device in settings.devices.iter() {
            for replica in 0..settings.replicas {
                let (loaded, thread) = worker::start(source, settings, device, &queue, &counters)?;
                devices.push(thread);
                two_batches_each += loaded.largest_batch.min(MOST_PLACES) * 2;
                match &mut card {
                    Some(card) if replica == 0 => {
                        card.device += &format!(", {}", loaded.card.device);
                    }
                    Some(_) => {}
                    None => card = Some(loaded.card),
                }
            }
        }
        let mut card = card.ok_or(EmbedError::Setting {
            setting: "replicas",
            value: "0".to_owned(),
            expected: "use 1 or more",
        })?;
        card.replicas = devices.len();
        let places = settings
            .queue_capacity
            .max(two_batches_each.min(MOST_PLACES));
        queue.widen(places - settings.queue_capacity);
        tokens.cut_at(card.context_length)?;
        let side = card.image_size;
        if let Some((width, height)) = preprocessor.as_ref().map(Preprocessor::size)
            && (width as usize != side || height as usize != side)
        {
            return Err(EmbedError::file(
                source.files().display(PREPROCESSOR),
                format!(
                    "it makes pictures of {width}×{height} for a model that sees {side}×{side}"
                ),
            ));
        }
        let shared = Shared {
            tokens: Arc::new(tokens),
            card,
            preprocessor: preprocessor.map(Arc::new),
            decoding: Decoding {
                pool: Pool::new(settings.decode_threads, settings.decode_memory)?,
                limits: ImageLimits {
                    max_pixels: settings.max_image_pixels,
                },
            },
            queue,
            counters,
            places,
            _devices: devices,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    #[must_use]
    pub fn card(&self) -> &ModelCard {
        &self.shared.card
    }

    /// How many inputs of a priority are taken in at once: who has many keeps as many under
    /// way, and every replica is busy.
    #[must_use]
    pub fn places(&self) -> usize {
        self.shared.places
    }

    /// Embeds texts, in order. They travel in the model's batches one by one, so the
    /// number of them is not limited by the queue.
    ///
    /// # Errors
    /// The first that any of them meets.
    pub async fn texts(
        &self,
        texts: Vec<String>,
        priority: Priority,
    ) -> Result<Vec<TextEmbedding>, EmbedError> {
        self.texts_as(texts, TextRole::Other, priority).await
    }

    /// The same for texts that are all looked for, or all to be found: some models of
    /// sentences read a prompt before them.
    ///
    /// # Errors
    /// The first that any of them meets.
    pub async fn texts_as(
        &self,
        texts: Vec<String>,
        role: TextRole,
        priority: Priority,
    ) -> Result<Vec<TextEmbedding>, EmbedError> {
        let span = tracing::info_span!("embed", kind = "texts", inputs = texts.len());
        self.embed_texts(texts, role, priority)
            .instrument(span)
            .await
    }

    async fn embed_texts(
        &self,
        texts: Vec<String>,
        role: TextRole,
        priority: Priority,
    ) -> Result<Vec<TextEmbedding>, EmbedError> {
        let shared = &self.shared;
        let begun = Instant::now();
        let (tokens, preprocess) = {
            let pool = &shared.decoding.pool;
            let _turn = pool.turn(Weight::Light, priority).await?;
            let tokenizer = Arc::clone(&shared.tokens);
            let job = move |_: Wanted<'_>| {
                let begun = Instant::now();
                let tokens = texts
                    .iter()
                    .map(|text| tokenizer.encode_as(text, role))
                    .collect::<Result<Vec<_>, _>>()?;
                Ok((tokens, begun.elapsed()))
            };
            pool.run(Weight::Light, "making tokens", job).await?
        };
        shared.embed(tokens, begun, preprocess, priority).await
    }

    /// Embeds one text of any length in the passages that the model can read, the first
    /// `most` of them.
    ///
    /// # Errors
    /// The first that any passage meets.
    pub async fn long_text(
        &self,
        text: String,
        role: TextRole,
        most: usize,
        priority: Priority,
    ) -> Result<LongText, EmbedError> {
        let span = tracing::info_span!("embed", kind = "texts", inputs = 1);
        self.embed_long_text(text, role, most, priority)
            .instrument(span)
            .await
    }

    async fn embed_long_text(
        &self,
        text: String,
        role: TextRole,
        most: usize,
        priority: Priority,
    ) -> Result<LongText, EmbedError> {
        let shared = &self.shared;
        let begun = Instant::now();
        let (split, preprocess) = {
            let pool = &shared.decoding.pool;
            let _turn = pool.turn(Weight::Light, priority).await?;
            let tokenizer = Arc::clone(&shared.tokens);
            let job = move |_: Wanted<'_>| {
                let begun = Instant::now();
                let split = tokenizer.passages(&text, role, most)?;
                Ok((split, begun.elapsed()))
            };
            pool.run(Weight::Light, "making tokens", job).await?
        };
        let (ranges, tokens): (Vec<_>, Vec<_>) = split
            .passages
            .into_iter()
            .map(|passage| (passage.range, passage.tokens))
            .unzip();
        let embedded = shared.embed(tokens, begun, preprocess, priority).await?;
        let passages = ranges.into_iter().zip(embedded);
        Ok(LongText {
            passages: passages
                .map(|(range, text)| PassageEmbedding {
                    range,
                    embedding: text.embedding,
                })
                .collect(),
            complete: split.complete,
        })
    }

    /// Embeds a picture from the bytes of its file.
    ///
    /// # Errors
    /// [`EmbedError::Image`] when the bytes are at fault, [`EmbedError::NoImageTower`]
    /// when the model knows words alone.
    pub async fn image(
        &self,
        bytes: Bytes,
        priority: Priority,
    ) -> Result<ImageEmbedding, EmbedError> {
        let span = tracing::info_span!("embed", kind = "images", inputs = 1);
        self.embed_image(bytes, priority).instrument(span).await
    }

    async fn embed_image(
        &self,
        bytes: Bytes,
        priority: Priority,
    ) -> Result<ImageEmbedding, EmbedError> {
        let shared = &self.shared;
        let begun = Instant::now();
        let preprocessor = shared
            .preprocessor
            .as_ref()
            .ok_or(EmbedError::NoImageTower)?;
        let preprocessor = Arc::clone(preprocessor);
        let make = move |bytes: &[u8], limits: &ImageLimits, wanted: Wanted<'_>| {
            preprocessor.pixels_while(bytes, limits, wanted)
        };
        let decoded = shared.decoding.decode(bytes, priority, make).await?;
        let preprocess = decoded.took;
        shared.counters.image_stages.preprocessed(preprocess);
        // A place only now: whoever waits for a decode would keep it from others.
        let place = shared.queue.place(priority).await?;
        drop(decoded.turn);
        let (reply, answer) = oneshot::channel();
        let entry = Entry {
            input: decoded.made,
            reply,
            _place: place,
        };
        shared.queue.push(priority, entry)?;
        let embedded = computed(answer).await?;
        let timings = timings(begun.elapsed(), preprocess, &embedded);
        shared.counters.image_stages.answered(&timings);
        Ok(ImageEmbedding {
            timings,
            embedding: embedded.embedding,
            info: decoded.info,
        })
    }

    #[must_use]
    pub fn statistics(&self) -> QueueStatistics {
        let (waiting_search, waiting_ingest) = self.shared.queue.waiting();
        QueueStatistics {
            replicas: self.shared.card.replicas,
            waiting_search,
            waiting_ingest,
            decoding_bytes: self.shared.decoding.pool.reserved_bytes(),
            ..self.shared.counters.snapshot()
        }
    }
}

impl Shared {
    /// They travel in the model's batches one by one.
    async fn embed(
        &self,
        tokens: Vec<TextTokens>,
        begun: Instant,
        preprocess: Duration,
        priority: Priority,
    ) -> Result<Vec<TextEmbedding>, EmbedError> {
        self.counters.text_stages.preprocessed(preprocess);
        let mut waiting = Vec::with_capacity(tokens.len());
        for text in tokens {
            let (count, truncated) = (text.ids.len(), text.truncated);
            waiting.push((count, truncated, self.push_text(text, priority).await?));
        }
        let mut embeddings = Vec::with_capacity(waiting.len());
        for (tokens, truncated, answer) in waiting {
            let embedded = computed(answer).await?;
            let timings = timings(begun.elapsed(), preprocess, &embedded);
            self.counters.text_stages.answered(&timings);
            embeddings.push(TextEmbedding {
                timings,
                embedding: embedded.embedding,
                tokens,
                truncated,
            });
        }
        Ok(embeddings)
    }

    async fn push_text(
        &self,
        input: TextTokens,
        priority: Priority,
    ) -> Result<oneshot::Receiver<Result<Embedded, EmbedError>>, EmbedError> {
        let place = self.queue.place(priority).await?;
        let (reply, answer) = oneshot::channel();
        let entry = Entry {
            input,
            reply,
            _place: place,
        };
        self.queue.push(priority, entry)?;
        Ok(answer)
    }
}

/// Waits for the device: in the queue, then in a batch.
async fn computed(
    answer: oneshot::Receiver<Result<Embedded, EmbedError>>,
) -> Result<Embedded, EmbedError> {
    answer
        .instrument(tracing::info_span!("model"))
        .await
        .unwrap_or(Err(EmbedError::Stopped))
}

fn timings(total: Duration, preprocess: Duration, embedded: &Embedded) -> Timings {
    Timings {
        queue_us: micros(total.saturating_sub(preprocess + embedded.model)),
        preprocess_us: micros(preprocess),
        model_us: micros(embedded.model),
    }
}
