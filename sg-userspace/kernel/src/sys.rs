//! System calls that aya 0.14 lacks: elements of an array of maps from several threads, entries in batches, detaching a pinned
//! link; and a request of ethtool.

#![expect(unsafe_code, reason = "raw bpf(2) and ioctl(2) calls")]

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd},
        unix::{ffi::OsStrExt as _, net::UnixDatagram},
    },
    path::Path,
};

use aya::Pod;

/// Commands of enum `bpf_cmd` (include/uapi/linux/bpf.h).
const BPF_MAP_LOOKUP_ELEM: libc::c_int = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_int = 2;
const BPF_MAP_DELETE_ELEM: libc::c_int = 3;
const BPF_OBJ_GET: libc::c_int = 7;
const BPF_MAP_LOOKUP_AND_DELETE_ELEM: libc::c_int = 21;
const BPF_MAP_LOOKUP_BATCH: libc::c_int = 24;
const BPF_LINK_DETACH: libc::c_int = 34;

/// The part of union `bpf_attr` that element commands use.
#[repr(C)]
struct ElementAttr {
    map_fd: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// Puts the map `inner` into slot `index`. Waits for an RCU grace period (`maybe_wait_bpf_programs`, kernel/bpf/syscall.c).
pub(super) fn set_element(map: BorrowedFd<'_>, index: u32, inner: BorrowedFd<'_>) -> io::Result<()> {
    let mut value = inner.as_raw_fd().cast_unsigned();
    element(BPF_MAP_UPDATE_ELEM, map, &index, Some(&mut value))
}

/// Whether slot `index` holds a map.
pub(super) fn has_element(map: BorrowedFd<'_>, index: u32) -> io::Result<bool> {
    Ok(element_of(map, index)?.is_some())
}

/// The id of the map in slot `index`, if there is one.
pub(super) fn element_of(map: BorrowedFd<'_>, index: u32) -> io::Result<Option<u32>> {
    let mut id = 0;
    Ok(found(element(BPF_MAP_LOOKUP_ELEM, map, &index, Some(&mut id)))?.then_some(id))
}

/// Empties slot `index`. Returns false if it was empty. Waits like [`set_element`].
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
    // SAFETY: the attribute has the given length, and the key and the value that it points to outlive the call. The keys and
    // values of an array of maps are 32 bits wide.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attr, size_of::<ElementAttr>()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Deletes an element of a hash map and returns its value; `None` if there is none. Hash maps can since Linux 5.14.
pub(super) fn take_element<K: Pod, V: Pod + Default>(map: BorrowedFd<'_>, key: &K) -> io::Result<Option<V>> {
    let mut value = V::default();
    let key = std::ptr::from_ref(key) as u64;
    let (map_fd, at) = (map.as_raw_fd().cast_unsigned(), std::ptr::from_mut(&mut value) as u64);
    let mut attr = ElementAttr { map_fd, pad: 0, key, value: at, flags: 0 };
    // SAFETY: the attribute has the given length, and the key and the value that it points to have the map's types and outlive
    // the call. Any bytes are a value.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_AND_DELETE_ELEM, &raw mut attr, size_of::<ElementAttr>())
    };
    Ok(found(if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) })?.then_some(value))
}

/// The part of union `bpf_attr` that batch commands use.
#[repr(C)]
struct BatchAttr {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// The result of a batch read.
pub(super) struct Batch {
    /// The number of entries read.
    pub(super) count: usize,
    /// Where the next batch begins; `None` if there are no more entries.
    pub(super) next: Option<u32>,
}

/// Reads entries of a hash map, from its beginning or from where the previous batch ended. `keys` and `values` have the map's
/// types.
pub(super) fn read_batch<K: Pod, V: Pod>(
    map: BorrowedFd<'_>,
    from: Option<u32>,
    keys: &mut [K],
    values: &mut [V],
) -> io::Result<Batch> {
    let mut next = 0_u32;
    let mut attr = BatchAttr {
        in_batch: from.as_ref().map_or(0, |from| std::ptr::from_ref(from) as u64),
        out_batch: &raw mut next as u64,
        keys: keys.as_mut_ptr() as u64,
        values: values.as_mut_ptr() as u64,
        count: keys.len().min(values.len()) as u32,
        map_fd: map.as_raw_fd().cast_unsigned(),
        elem_flags: 0,
        flags: 0,
    };
    // SAFETY: the attribute has the given length; what it points to outlives the call and has room for `count` entries of the
    // map's types, for which any bytes are valid values. Positions in a hash map are 32 bits wide.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, BPF_MAP_LOOKUP_BATCH, &raw mut attr, size_of::<BatchAttr>()) };
    let count = attr.count as usize;
    if result == 0 {
        return Ok(Batch { count, next: Some(next) });
    }
    let error = io::Error::last_os_error();
    // The last batch comes with ENOENT.
    if error.raw_os_error() == Some(libc::ENOENT) { Ok(Batch { count, next: None }) } else { Err(error) }
}

/// The part of union `bpf_attr` that commands on pinned objects use.
#[repr(C)]
struct PinAttr {
    path: u64,
    fd: u32,
    flags: u32,
}

/// Opens the object pinned at `path`.
pub(super) fn open_pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = PinAttr { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: the attribute has the given length, and the path that it points to outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, BPF_OBJ_GET, &raw mut attr, size_of::<PinAttr>()) };
    let fd = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the kernel just created the descriptor for us, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Detaches a link from its device before returning: if only its last holder closes it, the kernel detaches it some time later
/// (`bpf_link_put`, kernel/bpf/syscall.c).
pub(super) fn detach_link(link: BorrowedFd<'_>) -> io::Result<()> {
    let mut fd = link.as_raw_fd().cast_unsigned();
    // SAFETY: the attribute is one descriptor, of the given length.
    let result = unsafe { libc::syscall(libc::SYS_bpf, BPF_LINK_DETACH, &raw mut fd, size_of::<u32>()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The bytes of a value.
pub(super) const fn bytes_of<T: Pod>(value: &T) -> &[u8] {
    // SAFETY: the type has no padding, so all of its bytes are initialised.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// The value at the beginning of `bytes`; `None` if they are too few.
pub(super) fn value_of<T: Pod>(bytes: &[u8]) -> Option<T> {
    // SAFETY: there are as many bytes, and any bytes are a value.
    (bytes.len() >= size_of::<T>()).then(|| unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// Waits until every program that runs now has ended: an RCU grace period (`sys_membarrier`, kernel/sched/membarrier.c).
///
/// # Errors
/// If the kernel has no such call, or isolates processors (`nohz_full`).
pub(super) fn wait_for_programs() -> io::Result<()> {
    // SAFETY: a call without pointers.
    let result = unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The argument of `ETHTOOL_GFLAGS` (struct `ethtool_value`, include/uapi/linux/ethtool.h).
#[repr(C)]
struct Flags {
    command: u32,
    flags: u32,
}

/// Whether the device strips 802.1Q tags from received packets, as `ethtool -k` shows under `rx-vlan-offload`.
pub(super) fn strips_vlan_tags(device: &str) -> io::Result<bool> {
    const ETHTOOL_GFLAGS: u32 = 0x25;
    const ETH_FLAG_RXVLAN: u32 = 1 << 8;
    const SIOCETHTOOL: libc::Ioctl = 0x8946;
    // Any socket will do.
    let socket = UnixDatagram::unbound()?;
    let mut flags = Flags { command: ETHTOOL_GFLAGS, flags: 0 };
    let mut name = [0; libc::IFNAMSIZ];
    // The last byte terminates the name.
    for (place, byte) in name.iter_mut().zip(device.bytes()).take(libc::IFNAMSIZ - 1) {
        *place = byte.cast_signed();
    }
    let mut request = libc::ifreq {
        ifr_name: name,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: (&raw mut flags).cast() },
    };
    // SAFETY: the request and what it points to have the kernel's layout, and outlive the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
    if result == 0 { Ok(flags.flags & ETH_FLAG_RXVLAN != 0) } else { Err(io::Error::last_os_error()) }
}
