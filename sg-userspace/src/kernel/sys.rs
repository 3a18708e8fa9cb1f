//! The one system call that aya 0.14 lacks: deleting an element of an array of maps.

#![expect(unsafe_code, reason = "a raw bpf(2) call")]

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

/// `BPF_MAP_DELETE_ELEM` of enum `bpf_cmd` (include/uapi/linux/bpf.h).
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

/// Empties slot `index`. Returns false where it was empty. Waits for an RCU grace period like an update does
/// (`maybe_wait_bpf_programs`, kernel/bpf/syscall.c).
pub(super) fn delete_element(map: BorrowedFd<'_>, index: u32) -> io::Result<bool> {
    let key = std::ptr::from_ref(&index) as u64;
    let mut attr = ElementAttr { map_fd: map.as_raw_fd().cast_unsigned(), pad: 0, key, value: 0, flags: 0 };
    // SAFETY: the attribute is as long as we say, and the key it points to outlives the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_DELETE_ELEM, &raw mut attr, size_of::<ElementAttr>()) };
    if result == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(libc::ENOENT) { Ok(false) } else { Err(error) }
}
