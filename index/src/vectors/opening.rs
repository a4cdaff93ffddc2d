//! Opening the segments that a manifest names: what is damaged is left out with all of its rows,
//! which are then read from the source of truth.

use std::path::Path;
use std::sync::Arc;

use super::files;
use super::lanes::Lanes;
use super::manifest::{self, Manifest, Named};
use super::segment::Segment;
use crate::collection::State;
use crate::error::IndexError;

/// Opens the segments that the manifest names.
pub(super) fn read(
    folder: &Path,
    dim: usize,
    mut manifest: Manifest,
) -> Result<(Lanes, Manifest, State), IndexError> {
    let mut lanes = Lanes::default();
    let mut lost: Vec<(Named, String)> = Vec::new();
    let mut removals_known = true;
    for named in &manifest.segments {
        let read = files::read(folder, dim, &named.entry).and_then(|read| {
            if named.growing {
                files::check_vectors(&read.segment, &named.entry, || true)?;
            }
            Ok(read)
        });
        match read {
            Ok(read) => {
                removals_known &= read.removals_known;
                if let Some(healed) = read.healed {
                    tracing::warn!(folder = %folder.display(), "{healed} is wrong: it is built anew");
                }
                let segment = Arc::new(read.segment);
                let lane = lanes.of_mut(named.kind());
                if named.growing {
                    lane.growing
                        .push(Arc::new(Segment::joined(dim, &[segment])));
                } else {
                    lane.stored.push(segment);
                }
            }
            Err(reason) => lost.push((*named, reason)),
        }
    }
    for (named, _) in &lost {
        forget(&lanes, named);
    }
    manifest
        .segments
        .retain(|named| !lost.iter().any(|(gone, _)| gone == named));
    let mut numbers: Vec<u64> = manifest
        .segments
        .iter()
        .map(|named| named.entry.number)
        .collect();
    numbers.sort_unstable();
    files::sweep(folder, &numbers, manifest::NAME)?;
    let state = match manifest.complete_at {
        Some(sequence) if lost.is_empty() && removals_known => State::Loaded { sequence },
        _ => State::Partial {
            lost: lost.into_iter().map(|(_, reason)| reason).collect(),
        },
    };
    if matches!(state, State::Partial { .. }) {
        manifest.complete_at = None;
    }
    Ok((lanes, manifest, state))
}

/// Removes every row that a lost segment may have held: a row is there with all of its vectors
/// or not at all, so that what is missing can be told by its rows.
pub(super) fn forget(lanes: &Lanes, lost: &Named) {
    let rows = lost.entry.first_row..=lost.entry.last_row;
    for segment in lanes.segments() {
        for position in segment.live_positions() {
            if rows.contains(&segment.members.id(position).row.0) {
                segment.live.kill(position);
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
