//! A document's way in: its draft is checked, embedded and handed to its
//! collection's committer. What could not be embedded is never stored.

use std::ops::Range;
use std::sync::Arc;

use clipdb_embed::{EmbedError, Embedding, Encoder, Priority, TextRole};
use clipdb_storage::{
    DocumentId, MAX_PASSAGES, NewDocument, NewImage, Outcome, Passage, VectorKind, Write,
};
use futures_util::future::OptionFuture;
use futures_util::stream::{Stream, StreamExt};
use serde_json::{Map, Value};

use crate::blocking::blocking;
use crate::collection::collection::Collection;
use crate::collection::committer::Ticket;
use crate::collection::definition::NO_MODEL;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::image_source::ImageSource;
use crate::memory_budget::Share;
use crate::tasks::{Task, TaskKind};

/// A document as a client sent it.
#[derive(Debug, Clone, Default)]
pub struct Draft {
    pub id: Option<DocumentId>,
    pub text: Option<String>,
    pub image: Option<ImageSource>,
    /// Vectors to take instead of embedding what they stand for; of any length but zero.
    pub vectors: Vec<(VectorKind, Vec<f32>)>,
    pub metadata: Map<String, Value>,
}

impl Draft {
    /// What it holds in memory, roughly, for the ceiling on documents under way.
    pub fn bytes(&self) -> usize {
        let vectors = self
            .vectors
            .iter()
            .map(|(_, vector)| size_of_val(vector.as_slice()));
        self.text.as_ref().map_or(0, String::len)
            + self.image.as_ref().map_or(0, ImageSource::len)
            + vectors.sum::<usize>()
    }
}

/// An item of an ingest request: a draft, or why there is none, with the id where it is known.
pub struct Incoming {
    pub draft: Result<Draft, EngineError>,
    pub id: Option<String>,
    /// Its share of the ceiling on documents under way, given back when it is answered.
    pub share: Option<Share>,
}

/// What became of one document.
pub struct Ingested {
    pub id: Option<String>,
    pub outcome: Result<Stored, EngineError>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    pub created: bool,
    /// The text has more passages than are kept; its end is in no vector.
    pub truncated: bool,
    /// What the document is found by.
    pub embeddings: Vec<(VectorKind, Embedding)>,
}

struct Prepared {
    id: DocumentId,
    truncated: bool,
    embeddings: Vec<(VectorKind, Embedding)>,
    write: Write,
}

/// A write that its collection's committer has.
struct Submitted {
    id: DocumentId,
    truncated: bool,
    embeddings: Vec<(VectorKind, Embedding)>,
    ticket: Ticket,
}

/// Documents of one request that are made ready at once where no model bounds them.
const WINDOW_WITHOUT_MODEL: usize = 64;

impl Engine {
    /// Embeds and stores a stream of documents; answers in the order of the stream.
    ///
    /// Several are embedded at once, but they enter the committer in order, so
    /// that of two documents with one id the later one stands.
    pub fn ingest<'a>(
        &'a self,
        collection: &'a Arc<Collection>,
        incoming: impl Stream<Item = Incoming> + 'a,
    ) -> impl Stream<Item = Ingested> + 'a {
        let encoder = self.models.of(collection.definition()).ok();
        let window = encoder.map_or(WINDOW_WITHOUT_MODEL, Encoder::max_in_flight);
        // One group that is being committed and the next, however few are embedded at once.
        let committing = 2 * self.settings.group_documents;
        incoming
            .map(move |item| async move {
                let prepared = match item.draft {
                    Ok(draft) => self.prepare(collection, draft).await,
                    Err(error) => Err(error),
                };
                (item.id, item.share, prepared)
            })
            .buffered(window)
            .then(move |(id, share, prepared)| async move {
                let submitted = match prepared {
                    Ok(prepared) => {
                        collection
                            .submit(prepared.write)
                            .await
                            .map(|ticket| Submitted {
                                id: prepared.id,
                                truncated: prepared.truncated,
                                embeddings: prepared.embeddings,
                                ticket,
                            })
                    }
                    Err(error) => Err(error),
                };
                (id, share, submitted)
            })
            .map(move |(id, share, submitted)| async move {
                let answer = self.answer(id, submitted).await;
                drop(share);
                answer
            })
            .buffered(committing)
    }

    /// The same as a task, which owns `share` until it ends.
    pub fn ingest_behind(
        self: &Arc<Self>,
        collection: &Arc<Collection>,
        incoming: impl Stream<Item = Incoming> + Send + 'static,
        share: impl Send + 'static,
    ) -> Result<Arc<Task>, EngineError> {
        let (engine, collection) = (Arc::clone(self), Arc::clone(collection));
        let name = collection.definition().name.clone();
        self.tasks.start(TaskKind::Documents, name, move |task| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .map_err(EngineError::Thread)?;
            runtime.block_on(async {
                let answers = engine.ingest(&collection, incoming);
                futures_util::pin_mut!(answers);
                while let Some(answer) = answers.next().await {
                    task.one_done(answer.id, answer.outcome.map(drop));
                    if task.is_cancelled() {
                        break;
                    }
                }
            });
            drop(share);
            Ok(task.counted())
        })
    }

    async fn answer(
        &self,
        id: Option<String>,
        submitted: Result<Submitted, EngineError>,
    ) -> Ingested {
        let (id, outcome) = match submitted {
            Ok(submitted) => {
                let stored = submitted.ticket.wait().await.map(|outcome| Stored {
                    created: matches!(outcome, Outcome::Created { .. }),
                    truncated: submitted.truncated,
                    embeddings: submitted.embeddings,
                });
                (Some(submitted.id.to_string()), stored)
            }
            Err(error) => (id, Err(error)),
        };
        self.statistics.document_ingested(outcome.is_ok());
        Ingested { id, outcome }
    }

    async fn prepare(
        &self,
        collection: &Collection,
        draft: Draft,
    ) -> Result<Prepared, EngineError> {
        let text = draft.text.filter(|text| !text.trim().is_empty());
        if text.is_none() && draft.image.is_none() && draft.vectors.is_empty() {
            return Err(EngineError::EmptyDocument);
        }
        let given = given_vectors(collection, draft.vectors)?;
        let is_given = |kind| given.iter().any(|(of, _)| *of == kind);
        // Without a model a text beside given vectors is searched by its words alone.
        let has_model = collection.definition().model != NO_MODEL;
        let embeds_text =
            text.is_some() && !is_given(VectorKind::Text) && (has_model || given.is_empty());
        let embeds_image = draft.image.is_some() && !is_given(VectorKind::Image);
        let encoder = if embeds_text || embeds_image {
            Some(self.models.of(collection.definition())?)
        } else {
            None
        };
        if let Some(text) = &text {
            self.check_text(text)?;
        }
        collection.fields().check(&draft.metadata)?;
        let embeds = encoder.filter(|_| embeds_image);
        let image = OptionFuture::from(draft.image.map(|source| self.take_image(embeds, source)));
        let words = OptionFuture::from(
            encoder
                .zip(text.clone().filter(|_| embeds_text))
                .map(|(encoder, text)| embed_text(encoder, text)),
        );
        let (image, words) = futures_util::join!(image, words);
        let (image, words) = (image.transpose()?, words.transpose()?.unwrap_or_default());
        let mut embeddings = given;
        let image = image.map(|(embedding, image)| {
            embeddings.extend(embedding.map(|embedding| (VectorKind::Image, embedding)));
            image
        });
        let truncated = words.truncated;
        let of_text = words.embeddings.into_iter();
        embeddings.extend(of_text.map(|embedding| (VectorKind::Text, embedding)));
        let vectors = embeddings
            .iter()
            .map(|(kind, embedding)| (*kind, embedding.as_slice().to_vec()))
            .collect();
        let id = draft.id.unwrap_or_else(DocumentId::generate);
        let write = Write::Put(NewDocument {
            id: id.clone(),
            text,
            text_truncated: truncated,
            passages: words.passages,
            image,
            metadata: draft.metadata,
            vectors,
        });
        Ok(Prepared {
            id,
            truncated,
            embeddings,
            write,
        })
    }

    /// A picture, embedded by `encoder`. Without one its vector came with it, and only its
    /// header is read.
    async fn take_image(
        &self,
        encoder: Option<&Encoder>,
        source: ImageSource,
    ) -> Result<(Option<Embedding>, NewImage), EngineError> {
        if let Some(encoder) = encoder {
            let (embedding, image) = self.embed_image(encoder, source).await?;
            return Ok((Some(embedding), image));
        }
        let bytes = self.image_bytes(source).await?;
        let (header, limits) = (bytes.clone(), self.settings.image_limits);
        let inspect = move || clipdb_embed::image::inspect(&header, &limits);
        let info = blocking(inspect).await?.map_err(EmbedError::from)?;
        let image = NewImage {
            bytes,
            media_type: info.media_type.to_string(),
            width: info.width,
            height: info.height,
        };
        Ok((None, image))
    }

    pub(crate) fn check_text(&self, text: &str) -> Result<(), EngineError> {
        let limit = self.settings.max_text_bytes;
        if text.len() > limit {
            return Err(EngineError::TooLarge {
                what: "the text",
                limit: limit as u64,
                setting: "max_text_bytes",
            });
        }
        Ok(())
    }

    pub(crate) async fn embed_image(
        &self,
        encoder: &Encoder,
        source: ImageSource,
    ) -> Result<(Embedding, NewImage), EngineError> {
        let bytes = self.image_bytes(source).await?;
        let embedded = encoder.image(bytes.clone(), Priority::Ingest).await?;
        let image = NewImage {
            bytes,
            media_type: embedded.info.media_type.to_string(),
            width: embedded.info.width,
            height: embedded.info.height,
        };
        Ok((embedded.embedding, image))
    }
}

/// A document's text as the model read it.
#[derive(Default)]
pub(crate) struct EmbeddedText {
    /// Of each passage.
    pub(crate) embeddings: Vec<Embedding>,
    /// Where the passages lie; empty where the model read all of it at once.
    pub(crate) passages: Vec<Passage>,
    /// The text has more passages than are kept; its end is in no vector.
    pub(crate) truncated: bool,
}

pub(crate) async fn embed_text(
    encoder: &Encoder,
    text: String,
) -> Result<EmbeddedText, EngineError> {
    let role = TextRole::Document;
    let length = text.len();
    let read = encoder
        .long_text(text, role, MAX_PASSAGES, Priority::Ingest)
        .await?;
    let mut passages = Vec::with_capacity(read.passages.len());
    let mut embeddings = Vec::with_capacity(read.passages.len());
    for passage in read.passages {
        passages.push(stored_passage(&passage.range)?);
        embeddings.push(passage.embedding);
    }
    let is_whole = |passage: &Passage| passage.start == 0 && passage.end as usize == length;
    if passages.iter().all(is_whole) {
        passages.clear();
    }
    Ok(EmbeddedText {
        embeddings,
        passages,
        truncated: !read.complete,
    })
}

fn stored_passage(range: &Range<usize>) -> Result<Passage, EngineError> {
    let offset = |at: usize| {
        u32::try_from(at).map_err(|_| EngineError::TooLarge {
            what: "the text",
            limit: u64::from(u32::MAX),
            setting: "max_text_bytes",
        })
    };
    Ok(Passage {
        start: offset(range.start)?,
        end: offset(range.end)?,
    })
}

/// The vectors that came with a document, scaled to length 1.
fn given_vectors(
    collection: &Collection,
    vectors: Vec<(VectorKind, Vec<f32>)>,
) -> Result<Vec<(VectorKind, Embedding)>, EngineError> {
    let definition = collection.definition();
    let take = |(kind, vector): (VectorKind, Vec<f32>)| {
        if vector.len() != definition.dim {
            return Err(EngineError::WrongDimension {
                collection: definition.name.clone(),
                got: vector.len(),
                wanted: definition.dim,
            });
        }
        let embedding =
            Embedding::normalised(vector).map_err(|error| EngineError::NoDirection {
                kind: match kind {
                    VectorKind::Image => "image",
                    VectorKind::Text => "text",
                },
                reason: match error {
                    EmbedError::NoDirection { reason } => reason.to_owned(),
                    other => other.to_string(),
                },
            })?;
        Ok((kind, embedding))
    };
    vectors.into_iter().map(take).collect()
}

/// What came of the one input that was given.
pub(crate) fn only<T>(embedded: Vec<T>) -> Result<T, EngineError> {
    embedded.into_iter().next().ok_or(EngineError::Interrupted)
}

#[cfg(test)]
mod tests;
