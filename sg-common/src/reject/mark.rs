//! How an answer is known on its way back through the device, where it meets the filter once more: by a mark, and by a token
//! beside it. A process that may capture packets can see the mark, and may set it on packets of its own; the token stands in
//! a part of the packet buffer that no process can see or write. Both are drawn by every agent.

/// Both, as they stand in their map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// Of two random numbers.
    #[must_use]
    pub const fn new(mark: u32, token: u32) -> Self {
        // Of what stands in most packets neither may be: nothing.
        let [mark, token] = [if mark == 0 { 1 } else { mark }, if token == 0 { 1 } else { token }];
        Self((token as u64) << 32 | mark as u64)
    }

    /// The word in the map.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// What stands in the map.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// What anybody may see.
    #[inline(always)]
    #[must_use]
    pub const fn mark(self) -> u32 {
        self.0 as u32
    }

    /// What nobody sees.
    #[inline(always)]
    #[must_use]
    pub const fn token(self) -> u32 {
        (self.0 >> 32) as u32
    }
}
