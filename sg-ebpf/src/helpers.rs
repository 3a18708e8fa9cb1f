//! The kernel's clock, atomic operations, and counters. It must never read a packet. Called from everywhere.

#![expect(unsafe_code, reason = "helpers, atomic instructions, and pointers that maps give")]

use aya_ebpf::helpers::generated::bpf_jiffies64;
use sg_common::abi::Counter;

use crate::maps::COUNTERS;

/// The kernel's clock in jiffies. Free: the verifier replaces the call with a load (`jit_requested` in `do_misc_fixups`).
#[inline(always)]
pub fn now() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_jiffies64() }
}

/// `BPF_NOEXIST` (include/uapi/linux/bpf.h).
pub const NO_EXIST: u64 = 1;

/// Of a reservation in a ring: with any flag the kernel refuses it (`bpf_ringbuf_reserve`, kernel/bpf/ringbuf.c).
pub const NO_FLAGS: u64 = 0;

/// Copies word by word: for a copy of the whole the compiler emits a call that moves single bytes. `to` has room for a `T`, whose size
/// is a multiple of a word.
#[inline(always)]
pub fn copy<T>(from: &T, to: *mut T) {
    const { assert!(size_of::<T>().is_multiple_of(size_of::<u64>())) };
    let (from, to) = (core::ptr::from_ref(from).cast::<u64>(), to.cast::<u64>());
    for word in 0..size_of::<T>() / size_of::<u64>() {
        // SAFETY: both have as many words.
        unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) };
    }
}

/// Draws the next ticket, a number that no other CPU draws.
#[inline(always)]
pub fn draw(count: *mut u64) -> u64 {
    fetch_add(count, 1)
}

/// Adds to a word that other CPUs may add to at the same time, and returns what it was. Rust has no atomic addition for this target.
#[inline(always)]
pub fn fetch_add(count: *mut u64, more: u64) -> u64 {
    let mut ticket = more;
    #[cfg(target_arch = "bpf")]
    // SAFETY: a pointer from a map lookup is valid until the program ends, and nothing but this writes there.
    unsafe {
        core::arch::asm!(
            "{ticket} = atomic_fetch_add((u64 *)({count} + 0), {ticket})",
            count = in(reg) count,
            ticket = inout(reg) ticket,
            options(nostack),
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let _ = count;
        ticket = 0;
    }
    ticket
}

/// Adds to a word that other CPUs may add to at the same time.
#[inline(always)]
pub fn add(word: *mut u64, value: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: a pointer from a map lookup is valid until the program ends.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({word} + 0) += {value}",
            word = in(reg) word,
            value = in(reg) value,
            options(nostack),
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    let _ = (word, value);
}

/// Takes what is in a word that other CPUs may add to, and leaves zero.
#[inline(always)]
pub fn take(word: *mut u64) -> u64 {
    let mut taken = 0;
    #[cfg(target_arch = "bpf")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            "{taken} = xchg_64({word} + 0, {taken})",
            word = in(reg) word,
            taken = inout(reg) taken,
            options(nostack),
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let _ = word;
        taken += 0;
    }
    taken
}

/// Compare-and-swap: writes `after` if the word is `before`, and returns whether it was. Rust has no such operation for this
/// target.
#[inline(always)]
pub fn exchange(word: &mut u64, before: u64, after: u64) -> bool {
    let mut found = before;
    #[cfg(target_arch = "bpf")]
    // SAFETY: a valid word, which other CPUs change only in this way.
    unsafe {
        core::arch::asm!(
            "r0 = cmpxchg_64({word} + 0, r0, {after})",
            word = in(reg) word,
            after = in(reg) after,
            inout("r0") found,
            options(nostack),
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let _ = (word, after);
        found = !before;
    }
    found == before
}

/// Counts a packet of `length` bytes with the counter `number`.
#[inline(always)]
pub fn count(number: u32, length: u32) {
    if let Some(counter) = COUNTERS.get_ptr_mut(number) {
        add_own(counter, u64::from(length));
    }
}

/// Counts a packet of `length` bytes in this CPU's own slot, which nobody else writes.
#[inline(always)]
fn add_own(counter: *mut Counter, length: u64) {
    // SAFETY: a pointer from a map lookup is valid until the program ends.
    let counter = unsafe { &mut *counter };
    counter.packets += 1;
    counter.bytes += length;
}
