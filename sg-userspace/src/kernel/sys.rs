//! The system calls that aya 0.14 lacks: writing and deleting elements of an array of maps from several threads.

#![expect(unsafe_code, reason = "raw bpf(2) calls")]

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

/// Commands of enum `bpf_cmd` (include/uapi/linux/bpf.h).
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_DELETE_ELEM: libc::c_int = 3;

/// The part of union `bpf_attr` that element commands use.
#[repr(C)]
struct ElementAttr {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Puts the map `inner` into slot `index`. Waits for an RCU grace period (`maybe_wait_bpf_programs`,
/// kernel/bpf/syscall.c).
pub(super) fn set_element(map: BorrowedFd<'_>, index: u32, inner: BorrowedFd<'_>) -> io::Result<()> {
    let mut value = inner.as_raw_fd().cast_unsigned();
    element(BPF_MAP_UPDATE_ELEM, map, &index, Some(&mut value))
}

/// Whether there is a map in slot `index`.
pub(super) fn has_element(map: BorrowedFd<'_>, index: u32) -> io::Result<bool> {
    let mut id = 0;
    found(element(BPF_MAP_LOOKUP_ELEM, map, &index, Some(&mut id)))
}

/// Empties slot `index`. Returns false where it was empty. Waits like [`set_element`].
pub(super) fn delete_element(map: BorrowedFd<'_>, index: u32) -> io::Result<bool> {
    found(element(BPF_MAP_DELETE_ELEM, map, &index, None))
}

fn found(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn element(command: libc::c_int, map: BorrowedFd<'_>, key: &u32, value: Option<&mut u32>) -> io::Result<()> {
    let key = std::ptr::from_ref(key) as u64;
    let value = value.map_or(0, |value| std::ptr::from_mut(value) as u64);
    let mut attr = ElementAttr { map_fd: map.as_raw_fd().cast_unsigned(), pad: 0, key, value, flags: 0 };
    // SAFETY: the attribute is as long as we say, and the key and the value that it points to outlive the call. The
    // keys and values of an array of maps are 32 bits wide.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attr, size_of::<ElementAttr>()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
