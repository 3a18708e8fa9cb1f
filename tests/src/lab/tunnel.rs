//! A tunnel: two tun devices, and who carries packets between them. What one host sends into its own comes out of the other's.

#![expect(unsafe_code, reason = "a tun device is made by a call that takes a pointer")]

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::fd::{AsFd as _, AsRawFd as _},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context as _, Result, ensure};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{answer::LOOK, enter::Lab, host::Host};

/// No packet is longer.
const LONGEST: usize = 64 * 1024;

/// A tunnel between two hosts. Dropped, it takes both devices with it.
#[derive(Debug)]
#[must_use = "a tunnel that is dropped carries nothing"]
pub struct Tunnel {
    wanted: Arc<AtomicBool>,
    carriers: Vec<JoinHandle<()>>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Relaxed);
        for carrier in self.carriers.drain(..) {
            // One that panicked carried nothing, and that is what was seen.
            let _ = carrier.join();
        }
    }
}

impl Lab {
    /// A tunnel between two devices that it makes: `(host, device)` at each end, both up.
    ///
    /// # Errors
    /// Where the kernel makes no such device.
    pub fn tunnel(self, one: (&Host, &str), other: (&Host, &str)) -> Result<Tunnel> {
        let (near, far) = (open(one)?, open(other)?);
        let wanted = Arc::new(AtomicBool::new(true));
        let carry = |mut from: File, mut to: File| {
            let wanted = Arc::clone(&wanted);
            thread::spawn(move || {
                let mut packet = vec![0; LONGEST];
                while wanted.load(Ordering::Relaxed) {
                    let mut ready = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
                    let patience = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::ZERO);
                    if poll(&mut ready, patience).unwrap_or(0) == 0 {
                        continue;
                    }
                    // A device that is down takes nothing, as a wire that is unplugged.
                    let _ = from.read(&mut packet).and_then(|length| to.write(&packet[..length]));
                }
            })
        };
        let carriers = vec![carry(near.try_clone()?, far.try_clone()?), carry(far, near)];
        Ok(Tunnel { wanted, carriers })
    }
}

/// Makes a device (Documentation/networking/tuntap.rst of Linux).
fn open((host, device): (&Host, &str)) -> Result<File> {
    const WITHOUT_ETHERNET: u16 = 1;
    const PACKETS_ONLY: u16 = 0x1000;
    let mut request = Request { name: [0; 16], flags: WITHOUT_ETHERNET | PACKETS_ONLY, rest: [0; 22] };
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
