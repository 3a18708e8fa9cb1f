//! Offloads of devices: tags, checksums and segments. `ip` cannot set them, and ethtool need not be installed.

#![expect(unsafe_code, reason = "ethtool's call takes a pointer to a pointer")]

use std::os::{fd::AsRawFd as _, unix::net::UnixDatagram};

use anyhow::{Result, ensure};

use super::host::Host;

impl Host {
    /// Makes a device write VLAN tags into the frames that it sends, as `ethtool -K DEVICE txvlan off` does.
    ///
    /// # Errors
    /// If it cannot.
    pub fn write_tags(&self, device: &str) -> Result<()> {
        const ETHTOOL_GFLAGS: u32 = 0x25;
        const ETHTOOL_SFLAGS: u32 = 0x26;
        const ETH_FLAG_TXVLAN: u32 = 1 << 7;
        self.inside(|| {
            let flags = asked(device, ETHTOOL_GFLAGS, 0)?;
            asked(device, ETHTOOL_SFLAGS, flags & !ETH_FLAG_TXVLAN)?;
            ensure!(asked(device, ETHTOOL_GFLAGS, 0)? & ETH_FLAG_TXVLAN == 0, "{device} goes on as before");
            Ok(())
        })
    }

    /// Makes a device send only complete frames, and merge none, as `ethtool -K DEVICE tso off gso off gro off tx off` does.
    ///
    /// # Errors
    /// If it cannot.
    pub fn no_offloads(&self, device: &str) -> Result<()> {
        // `ETHTOOL_{G,S}` of TSO, GSO, GRO and TXCSUM.
        const COMMANDS: [[u32; 2]; 4] = [[0x1e, 0x1f], [0x23, 0x24], [0x2b, 0x2c], [0x16, 0x17]];
        self.inside(|| {
            for [get, set] in COMMANDS {
                // An offload that is off may be unavailable at present, and then setting it fails.
                if asked(device, get, 0)? != 0 {
                    asked(device, set, 0)?;
                }
                ensure!(asked(device, get, 0)? == 0, "{device} goes on as before: {get:#x}");
            }
            Ok(())
        })
    }
}

fn asked(device: &str, command: u32, value: u32) -> Result<u32> {
    let mut about = Value { command, value };
    let mut request = Request { name: [0; 16], data: &raw mut about, rest: [0; 16] };
    ensure!(device.len() < request.name.len(), "{device} is too long a name");
    request.name[..device.len()].copy_from_slice(device.as_bytes());
    let socket = UnixDatagram::unbound()?;
    // SAFETY: both are laid out as the kernel has them, and outlive the call.
    unsafe { ethtool(socket.as_raw_fd(), &raw mut request) }?;
    Ok(about.value)
}

/// `struct ethtool_value` (include/uapi/linux/ethtool.h).
#[repr(C)]
struct Value {
    command: u32,
    value: u32,
}

/// `struct ifreq` (include/uapi/linux/if.h).
#[repr(C)]
struct Request {
    name: [u8; 16],
    data: *mut Value,
    rest: [u8; 16],
}

nix::ioctl_readwrite_bad!(
    /// `SIOCETHTOOL` (include/uapi/linux/sockios.h).
    ethtool,
    0x8946,
    Request
);
