//! Whether the change that published an image is over. Whoever finds its deadline passed first says so in the word, and only then is a
//! packet judged by the image before: see [`sg_common::pending`]. It must never touch an image. Called by [`crate::image`].

#![expect(unsafe_code, reason = "maps hand out pointers, and global functions are found by their names")]

use sg_common::pending::Pending;

use crate::{helpers, maps::PENDING, subprograms};

/// Whether an image that the change with this id has published is in force. Zero: it needs no confirmation.
#[inline(always)]
pub fn stays(id: u64) -> bool {
    id == 0 || sg_is_over(id) == 0
}

const _: subprograms::IsOver = sg_is_over;

/// A global function, so that the verifier follows it once, and not from each place that asks for an image.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn sg_is_over(id: u64) -> u64 {
    let Some(word) = PENDING.get_ptr_mut(0) else { return 0 };
    let mut found = read(word);
    if !found.is_over() && u64::from(found.id()) == id && found.left(helpers::now()) <= 0 {
        // SAFETY: a pointer from a map lookup is valid until the program ends.
        let place = unsafe { &mut *word };
        // Whatever the outcome, the word says afterwards what everybody goes by.
        helpers::exchange(place, found.word(), found.over().word());
        found = read(word);
    }
    u64::from(found.is_over() && u64::from(found.id()) == id)
}

/// Reads the word, which others change at any time.
#[inline(always)]
fn read(word: *mut u64) -> Pending {
    // SAFETY: as above.
    Pending::from_word(unsafe { word.read_volatile() })
}
