//! How many documents go into one request.

use super::drafts::Draft;

/// Enough for the server's model to run full batches, and little enough that
/// the bar moves on a slow machine.
const MOST_PICTURES: usize = 32;
const MOST_DOCUMENTS: usize = 256;
const MOST_BYTES: u64 = 8 << 20;

/// Collects documents until a request is full.
#[derive(Debug, Default)]
pub struct Batch {
    drafts: Vec<Draft>,
    pictures: usize,
    bytes: u64,
}

impl Batch {
    /// Adds a document; answers the documents before it when they are as many
    /// as one request should carry. A document over the limit goes alone.
    pub fn push(&mut self, draft: Draft) -> Option<Vec<Draft>> {
        let pictures = usize::from(draft.picture.is_some());
        let is_full = self.drafts.len() == MOST_DOCUMENTS
            || self.pictures + pictures > MOST_PICTURES
            || self.bytes + draft.size() > MOST_BYTES;
        let before = if is_full { self.take() } else { None };
        self.pictures += pictures;
        self.bytes += draft.size();
        self.drafts.push(draft);
        before
    }

    /// What is left, unless that is nothing.
    pub fn take(&mut self) -> Option<Vec<Draft>> {
        let taken = std::mem::take(self).drafts;
        (!taken.is_empty()).then_some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::super::drafts::Picture;
    use super::*;
    use serde_json::Map;

    fn draft(picture: Option<usize>) -> Draft {
        Draft {
            origin: String::new(),
            document: Map::new(),
            picture: picture.map(|length| Picture {
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
    fn texts_are_limited_by_their_number_and_pictures_sooner() {
        assert_eq!(lengths((0..600).map(|_| draft(None))), [256, 256, 88]);
        assert_eq!(lengths((0..70).map(|_| draft(Some(1000)))), [32, 32, 6]);
        assert_eq!(lengths(None), Vec::<usize>::new());
    }

    #[test]
    fn large_pictures_are_limited_by_their_bytes_and_a_huge_one_goes_alone() {
        let mib = 1 << 20;
        let sizes = [3 * mib, 3 * mib, 3 * mib, 20 * mib, mib];
        assert_eq!(lengths(sizes.map(|size| draft(Some(size)))), [2, 1, 1, 1]);
    }
}
