//! Code that only the verifier needs, at no cost for packets. It must never change what a program computes. Called in loops.

#![expect(unsafe_code, reason = "assembly")]

/// Joins the branches of one loop iteration, so that the verifier recognizes states that it has already checked.
///
/// In a loop the verifier keeps a state only twenty jumps or a hundred instructions after the previous one (`is_state_visited`,
/// kernel/bpf/verifier.c). In a shorter loop with three branches, it would check every combination of branches over several
/// iterations. It counts these jumps to the next instruction, and removes them afterwards (`opt_remove_nops`).
#[inline(always)]
pub fn checkpoint() {
    #[cfg(target_arch = "bpf")]
    // SAFETY: reads and writes nothing.
    unsafe {
        core::arch::asm!(".rept 30", "goto +0", ".endr", options(nomem, nostack, preserves_flags));
    }
}

/// The number, from one to `MOST`, in a form whose bounds the verifier sees. `MOST` is a power of two.
#[inline(always)]
pub fn from_one_to<const MOST: usize>(number: u32) -> u32 {
    (core::hint::black_box(number - 1) & (MOST as u32 - 1)) + 1
}
