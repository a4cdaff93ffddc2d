//! Opens the segments that a manifest names. Corrupt segments are left out with all of their
//! rows, which reconciling reads from the source of truth.

use std::path::Path;
use std::sync::Arc;

use super::files::sweep;
use super::manifest::{self, Manifest, ManifestSegment};
use super::segment::Segment;
use super::segment_reader;
use super::segment_view::SegmentView;
use crate::error::IndexError;
use crate::saved_state::State;

/// Opens the segments that the manifest names.
pub(super) fn open(
    folder: &Path,
    dim: usize,
    mut manifest: Manifest,
) -> Result<(SegmentView, Manifest, State), IndexError> {
    let mut view = SegmentView::default();
    let mut lost: Vec<(ManifestSegment, String)> = Vec::new();
    let mut removals_known = true;
    for named in &manifest.segments {
        let opened = segment_reader::open(folder, dim, &named.entry).and_then(|opened| {
            if named.growing {
                segment_reader::verify_vectors(&opened.segment, &named.entry, || true)?;
            }
            Ok(opened)
        });
        match opened {
            Ok(opened) => {
                removals_known &= opened.removals_known;
                if let Some(reason) = opened.index_lost {
                    tracing::warn!(folder = %folder.display(), "{reason} is wrong; rebuilding the index");
                }
                let segment = Arc::new(opened.segment);
                let list = view.of_mut(named.kind());
                if named.growing {
                    list.growing
                        .push(Arc::new(Segment::joined(dim, &[segment])));
                } else {
                    list.stored.push(segment);
                }
            }
            Err(reason) => lost.push((*named, reason)),
        }
    }
    for (named, _) in &lost {
        forget(&view, named);
    }
    manifest
        .segments
        .retain(|named| !lost.iter().any(|(other, _)| other == named));
    let mut numbers: Vec<u64> = manifest
        .segments
        .iter()
        .map(|named| named.entry.number)
        .collect();
    numbers.sort_unstable();
    sweep(folder, &numbers, manifest::NAME)?;
    let state = match manifest.complete_at {
        Some(sequence) if lost.is_empty() && removals_known => State::Loaded { sequence },
        _ => State::Partial {
            lost: lost.into_iter().map(|(_, reason)| reason).collect(),
        },
    };
    if matches!(state, State::Partial { .. }) {
        manifest.complete_at = None;
    }
    Ok((view, manifest, state))
}

/// Removes every row that a lost segment may have held. A row has all of its vectors or none, so
/// the missing vectors are those of the missing rows.
pub(super) fn forget(view: &SegmentView, lost: &ManifestSegment) {
    let rows = lost.entry.first_row..=lost.entry.last_row;
    for segment in view.segments() {
        for position in segment.live_positions() {
            if rows.contains(&segment.members.id(position).row.0) {
                segment.live.remove(position);
            }
        }
    }
}

pub(super) fn wipe(folder: &Path) -> Result<(), IndexError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(IndexError::io("wipe", folder)(error))
        }
        _ => Ok(()),
    }
}
