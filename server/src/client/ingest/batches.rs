//! Groups documents into requests.

use super::drafts::Draft;

/// Enough that the server's model runs full batches, and few enough that the progress bar moves on a
/// slow machine.
const MAX_IMAGES: usize = 32;
const MAX_DOCUMENTS: usize = 256;
const MAX_BYTES: u64 = 8 << 20;

/// Collects documents until a request is full.
#[derive(Debug, Default)]
pub struct Batch {
    drafts: Vec<Draft>,
    images: usize,
    bytes: u64,
}

impl Batch {
    /// Adds a document. Returns the previous documents if they are as many as one request should
    /// carry. A document over the limit is sent alone.
    pub fn push(&mut self, draft: Draft) -> Option<Vec<Draft>> {
        let images = usize::from(draft.image.is_some());
        let is_full = self.drafts.len() == MAX_DOCUMENTS
            || self.images + images > MAX_IMAGES
            || self.bytes + draft.size() > MAX_BYTES;
        let before = if is_full { self.take() } else { None };
        self.images += images;
        self.bytes += draft.size();
        self.drafts.push(draft);
        before
    }

    /// The remaining documents, unless there are none.
    pub fn take(&mut self) -> Option<Vec<Draft>> {
        let taken = std::mem::take(self).drafts;
        (!taken.is_empty()).then_some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::super::drafts::Image;
    use super::*;
    use serde_json::Map;

    fn draft(image: Option<usize>) -> Draft {
        Draft {
            origin: String::new(),
            document: Map::new(),
            image: image.map(|length| Image {
                bytes: vec![0; length],
                media_type: String::new(),
            }),
            weight: 100,
        }
    }

    fn lengths(drafts: impl IntoIterator<Item = Draft>) -> Vec<usize> {
        let mut batch = Batch::default();
        let mut lengths: Vec<_> = drafts
            .into_iter()
            .filter_map(|draft| batch.push(draft).map(|full| full.len()))
            .collect();
        lengths.extend(batch.take().map(|rest| rest.len()));
        assert!(batch.take().is_none());
        lengths
    }

    #[test]
    fn texts_and_images_are_limited_by_their_number() {
        assert_eq!(lengths((0..600).map(|_| draft(None))), [256, 256, 88]);
        assert_eq!(lengths((0..70).map(|_| draft(Some(1000)))), [32, 32, 6]);
        assert_eq!(lengths(None), Vec::<usize>::new());
    }

    #[test]
    fn large_images_are_limited_by_their_bytes_and_a_huge_one_is_sent_alone() {
        let mib = 1 << 20;
        let sizes = [3 * mib, 3 * mib, 3 * mib, 20 * mib, mib];
        assert_eq!(lengths(sizes.map(|size| draft(Some(size)))), [2, 1, 1, 1]);
    }
}
