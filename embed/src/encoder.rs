//! The handle to a loaded model.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::decode_pool::DecodePool;
use crate::image::{ImageLimits, IsWanted, Preprocessor};
use crate::layouts;
use crate::pool::{Pool, Weight};
use crate::queue::{Embedded, Entry, Input, Queue, QueuePermit};
use crate::replicas::Replicas;
use crate::sources::PREPROCESSOR;
use crate::statistics::{Counters, QueueStatistics, micros};
use crate::tokens::TextTokenizer;
use crate::{
    EmbedError, EncoderSettings, ImageEmbedding, LongText, ModelCard, ModelSource,
    PassageEmbedding, Priority, Reading, TextEmbedding, TextRole, TextTokens, Timings,
};

/// A loaded model. Clones share it. Dropping the last one answers the waiting inputs and joins the
/// model's threads, so it blocks for a batch or so.
#[derive(Clone)]
pub struct Encoder {
    shared: Arc<Shared>,
}

struct Shared {
    tokenizer: Arc<TextTokenizer>,
    /// `None` for a text-only model.
    preprocessor: Option<Arc<Preprocessor>>,
    decode_pool: DecodePool,
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    max_in_flight: usize,
    replicas: Replicas,
}

type Answer = oneshot::Receiver<Result<Embedded, EmbedError>>;

impl Encoder {
    /// Loads a model and starts its threads. Blocks, for seconds with a large model.
    ///
    /// # Errors
    /// Names the file, the tensor or the setting at fault.
    pub fn load(source: &ModelSource, settings: &EncoderSettings) -> Result<Self, EmbedError> {
        crate::allocation::reuse_large_blocks();
        let layout = layouts::open(source, settings)?;
        let preprocessor = layout.preprocessor()?;
        let counters = Arc::new(Counters::default());
        let queue = Arc::new(Queue::new(settings.queue_capacity, Arc::clone(&counters)));
        // A vocabulary of a hundred languages takes as long as the weights.
        let (tokenizer, replicas) = std::thread::scope(|scope| {
            let tokenizer = std::thread::Builder::new()
                .name("clipdb-tokenizer".to_owned())
                .spawn_scoped(scope, || layout.tokenizer())
                .map_err(EmbedError::io("the tokenizer's thread"));
            let replicas = Replicas::start(source, settings, &queue, &counters);
            let tokenizer = tokenizer.and_then(|thread| {
                thread.join().unwrap_or_else(|payload| {
                    Err(EmbedError::panicked("reading the tokenizer", &*payload))
                })
            });
            (tokenizer, replicas)
        });
        let (mut tokenizer, replicas) = (tokenizer?, replicas?);
        source.files().release_pages();
        let max_in_flight = settings.queue_capacity.max(replicas.two_batches_each);
        queue.add_permits(max_in_flight - settings.queue_capacity);
        tokenizer.truncate_at(replicas.card.context_length)?;
        if let Some(preprocessor) = &preprocessor {
            check_image_size(source, &replicas.card, preprocessor)?;
        }
        let limits = ImageLimits {
            max_pixels: settings.max_image_pixels,
        };
        let pool = Pool::new(settings.decode_threads, settings.decode_memory)?;
        let shared = Shared {
            tokenizer: Arc::new(tokenizer),
            preprocessor: preprocessor.map(Arc::new),
            decode_pool: DecodePool { pool, limits },
            queue,
            counters,
            max_in_flight,
            replicas,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The description of the model.
    #[must_use]
    pub fn card(&self) -> &ModelCard {
        &self.shared.replicas.card
    }

    /// The number of inputs of each priority that are accepted at the same time. A caller with many
    /// inputs keeps this many in flight, so that every replica is busy.
    #[must_use]
    pub fn max_in_flight(&self) -> usize {
        self.shared.max_in_flight
    }

    /// Embeds texts, in order. The texts are batched individually, so their number is not limited by
    /// the queue.
    ///
    /// # Errors
    /// The first error of any text.
    pub async fn texts(
        &self,
        texts: Vec<String>,
        priority: Priority,
    ) -> Result<Vec<TextEmbedding>, EmbedError> {
        self.texts_as(texts, TextRole::Other, priority).await
    }

    /// Embeds texts that are all queries or all documents. Some sentence models have a prompt for
    /// each role.
    ///
    /// # Errors
    /// The first error of any text.
    pub async fn texts_as(
        &self,
        texts: Vec<String>,
        role: TextRole,
        priority: Priority,
    ) -> Result<Vec<TextEmbedding>, EmbedError> {
        let span = tracing::info_span!("embed", kind = "texts", inputs = texts.len());
        self.shared
            .embed_texts(texts, role, priority)
            .instrument(span)
            .await
    }

    /// Embeds a text of any length as passages that fit the model's context, at most `most` of them.
    ///
    /// # Errors
    /// The first error of any passage.
    pub async fn long_text(
        &self,
        text: String,
        role: TextRole,
        most: usize,
        priority: Priority,
    ) -> Result<LongText, EmbedError> {
        let span = tracing::info_span!("embed", kind = "texts", inputs = 1);
        self.shared
            .embed_long_text(text, role, most, priority)
            .instrument(span)
            .await
    }

    /// How much of a query the model can read.
    ///
    /// # Errors
    /// The tokenizer's, or the model is shutting down.
    pub async fn read(&self, text: String) -> Result<Reading, EmbedError> {
        let read = move |tokenizer: &TextTokenizer| tokenizer.reading(&text);
        let (reading, _) = self.shared.tokenize(Priority::Search, read).await?;
        Ok(reading)
    }

    /// Embeds an image file.
    ///
    /// # Errors
    /// [`EmbedError::Image`] if the file cannot be used, [`EmbedError::NoImageTower`] for a
    /// text-only model.
    pub async fn image(
        &self,
        bytes: Bytes,
        priority: Priority,
    ) -> Result<ImageEmbedding, EmbedError> {
        let span = tracing::info_span!("embed", kind = "images", inputs = 1);
        self.shared
            .embed_image(bytes, priority)
            .instrument(span)
            .await
    }

    /// A snapshot of the counters.
    #[must_use]
    pub fn statistics(&self) -> QueueStatistics {
        let (waiting_search, waiting_ingest) = self.shared.queue.waiting();
        QueueStatistics {
            replicas: self.card().replicas,
            waiting_search,
            waiting_ingest,
            decoding_bytes: self.shared.decode_pool.pool.reserved_bytes(),
            ..self.shared.counters.snapshot()
        }
    }
}

impl Shared {
    async fn embed_texts(
        &self,
        texts: Vec<String>,
        role: TextRole,
        priority: Priority,
    ) -> Result<Vec<TextEmbedding>, EmbedError> {
        let begun = Instant::now();
        let tokenize = move |tokenizer: &TextTokenizer| {
            let tokens = texts.iter().map(|text| tokenizer.encode_as(text, role));
            tokens.collect::<Result<Vec<_>, _>>()
        };
        let (tokens, preprocess) = self.tokenize(priority, tokenize).await?;
        self.embed_tokens(tokens, begun, preprocess, priority).await
    }

    async fn embed_long_text(
        &self,
        text: String,
        role: TextRole,
        most: usize,
        priority: Priority,
    ) -> Result<LongText, EmbedError> {
        let begun = Instant::now();
        let split = move |tokenizer: &TextTokenizer| tokenizer.passages(&text, role, most);
        let (split, preprocess) = self.tokenize(priority, split).await?;
        let (ranges, tokens): (Vec<_>, Vec<_>) = split
            .passages
            .into_iter()
            .map(|passage| (passage.range, passage.tokens))
            .unzip();
        let embedded = self
            .embed_tokens(tokens, begun, preprocess, priority)
            .await?;
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

    /// Runs `job` on a thread of the pool. Returns its result and the time that it took.
    async fn tokenize<T: Send + 'static>(
        &self,
        priority: Priority,
        job: impl FnOnce(&TextTokenizer) -> Result<T, EmbedError> + Send + 'static,
    ) -> Result<(T, Duration), EmbedError> {
        let pool = &self.decode_pool.pool;
        let _permit = pool.permit(Weight::Light, priority).await?;
        let tokenizer = Arc::clone(&self.tokenizer);
        let timed = move |_: IsWanted<'_>| {
            let begun = Instant::now();
            let result = job(&tokenizer)?;
            Ok((result, begun.elapsed()))
        };
        pool.run(Weight::Light, "tokenizing texts", timed).await
    }

    async fn embed_tokens(
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

    async fn push_text(&self, text: TextTokens, priority: Priority) -> Result<Answer, EmbedError> {
        let permit = self.queue.permit(priority).await?;
        self.push(text, priority, permit)
    }

    fn push<I: Input>(
        &self,
        input: I,
        priority: Priority,
        permit: QueuePermit,
    ) -> Result<Answer, EmbedError> {
        let (reply, answer) = oneshot::channel();
        let entry = Entry {
            input,
            reply,
            _permit: permit,
        };
        self.queue.push(priority, entry)?;
        Ok(answer)
    }

    async fn embed_image(
        &self,
        bytes: Bytes,
        priority: Priority,
    ) -> Result<ImageEmbedding, EmbedError> {
        let begun = Instant::now();
        let preprocessor = self.preprocessor.as_ref();
        let preprocessor = Arc::clone(preprocessor.ok_or(EmbedError::NoImageTower)?);
        let preprocess = move |bytes: &[u8], limits: &ImageLimits, wanted: IsWanted<'_>| {
            preprocessor.pixels_while(bytes, limits, wanted)
        };
        let decoded = self.decode_pool.decode(bytes, priority, preprocess).await?;
        let (info, took) = (decoded.info, decoded.took);
        self.counters.image_stages.preprocessed(took);
        // Only now, because an image that waits to be decoded would keep the permit from others.
        let permit = self.queue.permit(priority).await?;
        drop(decoded.permit);
        let answer = self.push(decoded.output, priority, permit)?;
        let embedded = computed(answer).await?;
        let timings = timings(begun.elapsed(), took, &embedded);
        self.counters.image_stages.answered(&timings);
        Ok(ImageEmbedding {
            timings,
            embedding: embedded.embedding,
            info,
        })
    }
}

/// Checks that the preprocessing produces the images that the image tower reads.
fn check_image_size(
    source: &ModelSource,
    card: &ModelCard,
    preprocessor: &Preprocessor,
) -> Result<(), EmbedError> {
    let (width, height) = preprocessor.size();
    let side = card.image_size;
    if width as usize == side && height as usize == side {
        return Ok(());
    }
    Err(EmbedError::file(
        source.files().display(PREPROCESSOR),
        format!("it produces images of {width}×{height}, and the model reads {side}×{side}"),
    ))
}

/// Waits for the device: in the queue, then in a batch.
async fn computed(answer: Answer) -> Result<Embedded, EmbedError> {
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
