//! Which series a detector may be made with, and which only judge it.

/// One of the two parts of the corpus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The detector was tuned while looking at these.
    Training,
    /// No constant was chosen by looking at these.
    HeldOut,
}

/// The declaration, made before the detector was tuned: of all series, sorted by their paths below `data/` (bytewise) and
/// counted from 0, every third one is held out, those whose number leaves 2 when it is divided by 3. It depends on nothing
/// but the paths, and takes series of every category. What is tuned is tuned on the others alone.
pub const fn part(index: usize) -> Part {
    if index % 3 == 2 { Part::HeldOut } else { Part::Training }
}
