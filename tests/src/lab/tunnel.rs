//! A tunnel: two tun devices, and a thread that carries packets between them. What one host sends into its own comes out of the
//! other's. The same exists for frames: two tap devices, as a virtual machine has one.

#![expect(unsafe_code, reason = "a tun device is made by calls that take a pointer or a number")]

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsFd as _, AsRawFd as _},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{enter::Lab, host::Host, responder::LOOK};

/// The maximum length of a packet, with its header.
const LONGEST: usize = 64 * 1024 + 64;

/// Documentation/networking/tuntap.rst of Linux.
const WITHOUT_ETHERNET: u16 = 1;
const WITH_ETHERNET: u16 = 2;
const PACKETS_ONLY: u16 = 0x1000;
/// Each frame follows a header with what its sender left to offloads: `struct virtio_net_hdr`.
const TO_BE_FINISHED: u16 = 0x4000;
/// `TUN_F_{CSUM,TSO4,TSO6}`.
const CHECKSUMS_AND_SEGMENTS: i32 = 1 | 2 | 4;

/// A tunnel between two hosts. Dropping it removes both devices.
#[derive(Debug)]
#[must_use = "a tunnel that is dropped carries nothing"]
pub struct Tunnel {
    wanted: Arc<AtomicBool>,
    unfinished: Arc<AtomicU64>,
    carriers: Vec<JoinHandle<()>>,
}

impl Tunnel {
    /// How many frames with an incomplete checksum it has carried.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.unfinished.load(Ordering::Relaxed)
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Relaxed);
        for carrier in self.carriers.drain(..) {
            // A thread that panicked carried nothing, and the test sees that.
            let _ = carrier.join();
        }
    }
}

impl Lab {
    /// Creates a tunnel between two new devices: `(host, device)` at each end, both up.
    ///
    /// # Errors
    /// If the kernel cannot create a device.
    pub fn tunnel(self, one: (&Host, &str), other: (&Host, &str)) -> Result<Tunnel> {
        connected([one, other], WITHOUT_ETHERNET)
    }

    /// Creates a wire between two new tap devices: `(host, device)` at each end, both up. Frames are complete; or, with
    /// `unfinished`, their checksums and segments are left to the receiver, as virtual machines and their hosts agree on.
    ///
    /// # Errors
    /// If the kernel cannot create a device.
    pub fn taps(self, one: (&Host, &str), other: (&Host, &str), unfinished: bool) -> Result<Tunnel> {
        connected([one, other], WITH_ETHERNET | if unfinished { TO_BE_FINISHED } else { 0 })
    }
}

fn connected(ends: [(&Host, &str); 2], kind: u16) -> Result<Tunnel> {
    let [near, far] = ends.map(|end| open(end, kind));
    let (near, far) = (near?, far?);
    let wanted = Arc::new(AtomicBool::new(true));
    let unfinished = Arc::new(AtomicU64::new(0));
    let carry = |mut from: File, mut to: File| {
        let (wanted, unfinished) = (Arc::clone(&wanted), Arc::clone(&unfinished));
        thread::spawn(move || {
            let mut packet = vec![0; LONGEST];
            while wanted.load(Ordering::Relaxed) {
                let mut ready = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
                let patience = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO);
                if poll(&mut ready, patience).unwrap_or(0) == 0 {
                    continue;
                }
                // A device that is down takes nothing, like an unplugged wire.
                let carried = from.read(&mut packet).and_then(|length| to.write(&packet[..length]));
                // `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
                if carried.is_ok() && kind & TO_BE_FINISHED != 0 && packet[0] & 1 != 0 {
                    unfinished.fetch_add(1, Ordering::Relaxed);
                }
            }
        })
    };
    let carriers = vec![carry(near.try_clone()?, far.try_clone()?), carry(far, near)];
    Ok(Tunnel { wanted, unfinished, carriers })
}

/// Makes a device.
fn open((host, device): (&Host, &str), kind: u16) -> Result<File> {
    let mut request = Request { name: [0; 16], flags: kind | PACKETS_ONLY, rest: [0; 22] };
    ensure!(device.len() < request.name.len(), "{device} is too long a name");
    request.name[..device.len()].copy_from_slice(device.as_bytes());
    let file = host.inside(|| {
        let file = File::options()
            .read(true)
            .write(true)
            .open("/dev/net/tun")
            .context("this kernel has no tun devices (CONFIG_TUN)")?;
        // SAFETY: the request is as long as struct ifreq, and the kernel writes nothing else.
        unsafe { set_interface(file.as_raw_fd(), &raw const request) }?;
        if kind & TO_BE_FINISHED != 0 {
            // SAFETY: the call takes a number, and no memory.
            unsafe { set_offloads(file.as_raw_fd(), CHECKSUMS_AND_SEGMENTS) }?;
        }
        Ok(file)
    })?;
    host.ip(&format!("link set {device} up"))?;
    Ok(file)
}

/// `struct ifreq` (include/uapi/linux/if.h).
#[repr(C)]
#[derive(Debug)]
pub(super) struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

nix::ioctl_write_ptr_bad!(
    /// `TUNSETIFF` (`include/uapi/linux/if_tun.h`).
    set_interface,
    nix::request_code_write!(b'T', 202, size_of::<i32>()),
    Request
);

nix::ioctl_write_int_bad!(
    /// `TUNSETOFFLOAD` (`include/uapi/linux/if_tun.h`).
    set_offloads,
    nix::request_code_write!(b'T', 208, size_of::<u32>())
);
