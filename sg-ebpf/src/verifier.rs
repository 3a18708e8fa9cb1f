//! What stands in the programs for the verifier's sake only, and costs a packet nothing. It must never change what a program
//! computes. Called in loops.

#![expect(unsafe_code, reason = "assembly")]

/// Where the ways through one turn of a loop meet: lets the verifier see that what it knows there, it has followed before.
///
/// Inside a loop it keeps a state only where twenty jumps or a hundred instructions lie behind the one before
/// (`is_state_visited`, kernel/bpf/verifier.c). Of a shorter turn with three ways through it, it would follow every
/// combination for some turns. These jumps to the next instruction are counted there, and afterwards removed from the
/// program (`opt_remove_nops`).
#[inline(always)]
pub fn checkpoint() {
    #[cfg(target_arch = "bpf")]
    // SAFETY: reads and writes nothing.
    unsafe {
        core::arch::asm!(".rept 30", "goto +0", ".endr", options(nomem, nostack, preserves_flags));
    }
}
