//! What is wrong with a filter, and where in it.

/// A filter that says nothing sensible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the filter is wrong{}: {reason}", place(.at))]
pub struct FilterError {
    /// The way from the filter's root, as in `$or[1].year.$gte`; empty at the root.
    pub at: String,
    /// What is wrong there and what would be right.
    pub reason: String,
}

fn place(at: &str) -> String {
    if at.is_empty() {
        String::new()
    } else {
        format!(" at '{at}'")
    }
}
