//! Seeds grow as a tree: a child is derived from (parent, label), so that one more draw in one
//! place moves nothing elsewhere.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A random stream whose values depend only on its seed; the same on every machine.
pub type Rng = ChaCha8Rng;

/// A node in the tree of seeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u64);

impl Seed {
    /// The root of a run's tree.
    pub const fn root(seed: u64) -> Self {
        Seed(seed)
    }

    /// The child with a fixed label.
    #[must_use]
    pub fn child(self, label: &str) -> Self {
        Seed(xxh3_64_with_seed(label.as_bytes(), self.0))
    }

    /// The `index`-th child below a fixed label.
    #[must_use]
    pub fn nth(self, label: &str, index: u64) -> Self {
        Seed(xxh3_64_with_seed(&index.to_le_bytes(), self.child(label).0))
    }

    /// The seed as a number, for generators that want one.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// A fresh random stream that starts at this seed.
    pub fn rng(self) -> Rng {
        Rng::seed_from_u64(self.0)
    }
}
