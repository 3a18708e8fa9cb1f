//! A NIC: a device whose traffic is filtered, and the groups it holds.

use std::{fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Action, AllowedSources, DeviceFacts, Ethertype, GroupIndex, Mac, Precedence};

/// The maximum number of groups of one NIC.
pub const MAX_GROUPS_PER_NIC: usize = 10;

/// The owner of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The host: what the device receives is inbound.
    Host,
    /// A guest, of whose NIC the device is the host end: what the device receives from the guest is the guest's outbound traffic.
    Guest,
}

/// The hook of a device's receive side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Hook {
    /// At tc, once the kernel has allocated a packet buffer: on every device.
    #[default]
    Tc,
    /// Before that, in the driver, which must have native XDP. Only for NICs of the host.
    Xdp,
}

impl Hook {
    /// The name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tc => "tc",
            Self::Xdp => "xdp",
        }
    }
}

/// What becomes of what IPsec delivers to a NIC of the host: the packets inside, which come by it a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Ipsec {
    /// They pass: what was on the wire was judged. With [`Role::Host`] only.
    Pass,
    /// They are judged, too. With [`Hook::Tc`] only.
    Judge,
}

impl Ipsec {
    /// The name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Judge => "judge",
        }
    }
}

/// The effect of a policy change on live flows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Established {
    /// They are revalidated, with their original addresses and direction, on their next packet.
    #[default]
    Revalidate,
    /// They continue until they end.
    Keep,
}

/// What becomes of a TCP packet that belongs to no known flow and opens none: after the table was lost, say, or from
/// somebody who guesses.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum MidStream {
    /// The rules judge it as if it were the first.
    #[default]
    Loose,
    /// It is dropped.
    Strict,
}

/// For how long after a NIC was first filtered a connection that nobody knows is taken over by the rules of one direction,
/// where [`MidStream::Loose`] holds. Later, the rules of both directions must accept it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Takeover {
    /// So many seconds; 0: not at all.
    Seconds(u32),
    /// As long as it says.
    Named(NamedTakeover),
}

/// A [`Takeover`] that is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NamedTakeover {
    /// As long as an established TCP connection may be silent: whoever is older spoke in that time, or is not known.
    Established,
    /// For ever.
    Forever,
}

impl Default for Takeover {
    fn default() -> Self {
        Self::Named(NamedTakeover::Established)
    }
}

impl fmt::Display for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seconds(seconds) => write!(f, "{seconds}"),
            Self::Named(NamedTakeover::Established) => f.write_str("established"),
            Self::Named(NamedTakeover::Forever) => f.write_str("forever"),
        }
    }
}

impl FromStr for Takeover {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "established" => Ok(Self::Named(NamedTakeover::Established)),
            "forever" => Ok(Self::Named(NamedTakeover::Forever)),
            seconds => seconds.parse().map(Self::Seconds).map_err(|_| Self::ALLOWED),
        }
    }
}

impl Takeover {
    /// The valid values, for messages.
    pub const ALLOWED: &'static str = "write a number of seconds, established or forever";
}

/// What becomes of packets that no rule matches, where they are not accepted.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Unmatched {
    /// They are dropped, silently.
    #[default]
    Drop,
    /// They are dropped and their sender is told.
    Reject,
}

impl From<Unmatched> for Action {
    fn from(unmatched: Unmatched) -> Self {
        match unmatched {
            Unmatched::Drop => Self::Drop,
            Unmatched::Reject => Self::Reject,
        }
    }
}

/// A NIC of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nic {
    /// The name of the device, unique within the policy.
    pub device: String,
    /// The owner.
    pub role: Role,
    /// Its private addresses. If `addresses_from_device` is set, those configured on the device at the last scan.
    pub addresses: Vec<IpAddr>,
    /// Whether the addresses are the device's, because the document names none.
    pub addresses_from_device: bool,
    /// The facts of its device on this host, if it exists. For a guest they are those of the host's end.
    pub device_facts: DeviceFacts,
    /// The setting as written; see [`Nic::anti_spoofing`].
    pub anti_spoofing_written: Option<bool>,
    /// DHCP servers that it may contact directly, in addition to those in its networks and those that gave it an address.
    pub dhcp_servers: Vec<IpAddr>,
    /// Whether inbound packets from its own addresses are judged by the rules like others.
    pub accept_own_source: bool,
    /// The addresses that it may send from, in addition to its own.
    pub senders: AllowedSources,
    /// The hook of the receive side; [`Hook::Xdp`] with [`Role::Host`] only.
    pub hook: Hook,
    /// Frames that are not IP and pass nevertheless, in both directions: at most [`super::MAX_ETHERTYPES`], without duplicates.
    pub ethertypes: Vec<Ethertype>,
    /// The setting as written; see [`Nic::ipsec`].
    pub ipsec_written: Option<Ipsec>,
    /// How the rules of its groups are ordered.
    pub precedence: Precedence,
    /// The effect of a policy change on its live flows.
    pub established: Established,
    /// What happens to mid-stream TCP packets of unknown connections.
    pub mid_stream: MidStream,
    /// How long such a connection may be taken over.
    pub takeover: Takeover,
    /// What happens to packets that no rule matches, unless they are accepted.
    pub default: Unmatched,
    /// Its groups in order, 1 to [`MAX_GROUPS_PER_NIC`], of one type.
    pub groups: Vec<GroupIndex>,
}

impl Nic {
    /// A NIC of the host that holds `groups`, without addresses, and with everything else as in a document that leaves it out. For
    /// samples; what reads or stores NICs names every field, so that a new one cannot be forgotten there.
    #[must_use]
    pub fn new(device: &str, groups: impl IntoIterator<Item = GroupIndex>) -> Self {
        Self {
            device: device.to_owned(),
            role: Role::Host,
            addresses: Vec::new(),
            addresses_from_device: false,
            device_facts: DeviceFacts::default(),
            ipsec_written: None,
            ethertypes: Vec::new(),
            anti_spoofing_written: None,
            dhcp_servers: Vec::new(),
            accept_own_source: false,
            senders: AllowedSources::default(),
            hook: Hook::default(),
            precedence: Precedence::default(),
            established: Established::default(),
            mid_stream: MidStream::default(),
            takeover: Takeover::default(),
            default: Unmatched::default(),
            groups: groups.into_iter().collect(),
        }
    }

    /// Whether packets from the NIC must have one of its addresses as their source.
    ///
    /// Off for a host, on for a guest, unless the document says otherwise. A guest without known addresses could send nothing at
    /// all, so for it anti-spoofing is on only if the document asks for it.
    #[must_use]
    pub fn anti_spoofing(&self) -> bool {
        self.anti_spoofing_written.unwrap_or(self.role == Role::Guest && !self.addresses.is_empty())
    }

    /// What happens to packets that IPsec delivers to it.
    ///
    /// For a host they pass, unless the document says otherwise. A guest handles its own IPsec. The packets on a tunnel device of
    /// IPsec are the decrypted ones, so there they are judged.
    #[must_use]
    pub fn ipsec(&self) -> Ipsec {
        match self.ipsec_written {
            Some(written) => written,
            None if self.role == Role::Host && !self.device_facts.is_layer_3 => Ipsec::Pass,
            None => Ipsec::Judge,
        }
    }

    /// Its Ethernet address, if known: as written, else, if the device is the host's own, that of the device.
    #[must_use]
    pub fn mac(&self) -> Option<Mac> {
        self.senders.mac.or(match self.role {
            Role::Host => self.device_facts.mac,
            Role::Guest => None,
        })
    }

    /// The addresses that nobody else sends from: an inbound packet from one of them is spoofed. Empty if
    /// [`Nic::accept_own_source`] is set. Its allowed address pairs are not included, because others may have them. Nor are those
    /// of a guest's device, which belong to the host.
    pub fn own_sources(&self) -> impl Iterator<Item = IpAddr> {
        let hosts = self.role == Role::Guest && self.addresses_from_device;
        let known: &[IpAddr] = if self.accept_own_source || hosts { &[] } else { &self.addresses };
        known.iter().copied().filter(|address| !address.is_multicast() && !address.is_unspecified())
    }

    /// Every pair of addresses that it may send from while [`Nic::anti_spoofing`] is on. `None` means any Ethernet address.
    pub fn pairs(&self) -> impl Iterator<Item = (IpNet, Option<Mac>)> {
        self.senders.pairs(&self.addresses)
    }

    /// The Ethernet address that it uses with the address `source`, if known.
    #[must_use]
    pub fn mac_for(&self, source: IpAddr) -> Option<Mac> {
        let pair = self.pairs().find(|(net, _)| net.contains(&source));
        pair.map_or(self.senders.mac, |(_, mac)| mac)
    }
}
