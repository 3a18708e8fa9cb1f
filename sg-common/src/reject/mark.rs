//! How the filter recognizes a reject that it meets again on its way back through the device: by a mark and a token. A process
//! that may capture packets can see the mark, and may set it on packets of its own; the token is in a part of the packet buffer
//! that no process can see or write. Both are drawn by every agent.

/// Both, as one word in their map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// Combines two random numbers.
    #[must_use]
    pub const fn new(mark: u32, token: u32) -> Self {
        // Neither may be zero, as in most packets.
        let [mark, token] = [if mark == 0 { 1 } else { mark }, if token == 0 { 1 } else { token }];
        Self((token as u64) << 32 | mark as u64)
    }

    /// The word in the map.
    #[must_use]
    pub const fn word(self) -> u64 {
        self.0
    }

    /// Decodes the word in the map.
    #[inline(always)]
    #[must_use]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The mark, which is visible to processes.
    #[inline(always)]
    #[must_use]
    pub const fn mark(self) -> u32 {
        self.0 as u32
    }

    /// The token, which is not.
    #[inline(always)]
    #[must_use]
    pub const fn token(self) -> u32 {
        (self.0 >> 32) as u32
    }
}
