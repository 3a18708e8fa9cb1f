//! Frames that are not IP over a wire, to a socket that takes all of their kind: what the NIC names arrives, both ways, and
//! nothing else.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sg_tests::lab::{Agent, Attach, FrameSocket, Host, Lab, PATIENCE, SILENCE};

use crate::support::{
    scene::{NOTHING, Role, native_xdp, over_roles},
    suite::Suite,
};

pub(crate) fn tests(suite: &mut Suite) {
    over_roles(suite, "frames_pass", frames_pass);
}

/// What the policy names.
const NAMES: &str = ", ethertypes: [eapol, lldp, lacp, ptp, stp, 0x8915]";

/// LLC frames, as sockets and as the policy know them (`ETH_P_802_2`).
const LLC: u16 = 4;
/// IEEE 802.2, of 38 bytes.
const LENGTH: [u8; 2] = [0, 38];

struct Kind {
    what: &'static str,
    to: [u8; 6],
    /// What stands between the addresses and the payload.
    header: &'static [u8],
    payload: &'static [u8],
    /// What a socket that takes it is bound to.
    received: u16,
    named: bool,
}

const fn kind(what: &'static str, last: u8, header: &'static [u8], received: u16, named: bool) -> Kind {
    Kind { what, to: [1, 0x80, 0xc2, 0, 0, last], header, payload: &[], received, named }
}

const KINDS: [Kind; 15] = [
    kind("EAPOL", 3, &[0x88, 0x8e], 0x888e, true),
    kind("LLDP", 0x0e, &[0x88, 0xcc], 0x88cc, true),
    kind("LACP", 2, &[0x88, 0x09], 0x8809, true),
    kind("PTP", 0x0e, &[0x88, 0xf7], 0x88f7, true),
    Kind { payload: &[0x42, 0x42, 3], ..kind("STP", 0, &LENGTH, LLC, true) },
    Kind { to: [0xff; 6], ..kind("RoCE", 0, &[0x89, 0x15], 0x8915, true) },
    kind("LLDP with a priority", 0x0e, &[0x81, 0, 0xe0, 0, 0x88, 0xcc], 0x88cc, true),
    kind("LLDP in a VLAN", 0x0e, &[0x81, 0, 0, 7, 0x88, 0xcc], 0x88cc, false),
    Kind { payload: &[0x42, 0x42, 0x13], ..kind("almost STP", 0, &LENGTH, LLC, false) },
    Kind { payload: &[0xaa, 0xaa, 3], ..kind("SNAP", 0, &LENGTH, LLC, false) },
    kind("almost LLDP", 0x0e, &[0x88, 0xcd], 0x88cd, false),
    Kind { to: [0xff; 6], ..kind("MACsec", 0, &[0x88, 0xe5], 0x88e5, false) },
    Kind { to: [0xff; 6], ..kind("MPLS", 0, &[0x88, 0x47], 0x8847, false) },
    Kind { to: [0xff; 6], ..kind("PPPoE", 0, &[0x88, 0x64], 0x8864, false) },
    Kind { to: [0xff; 6], ..kind("an older outer tag", 0, &[0x91, 0, 0, 0, 0x88, 0xcc], 0x9100, false) },
];

impl Kind {
    /// What is looked for, since a tag is taken off before anybody receives it.
    fn body(&self) -> Vec<u8> {
        let mut body = self.payload.to_vec();
        body.extend(self.what.as_bytes());
        body.resize(38, b'.');
        body
    }

    fn frame(&self, from: [u8; 6]) -> Vec<u8> {
        [&self.to[..], &from, self.header, &self.body(), &[0; 8]].concat()
    }

    fn arrives(&self, at: &FrameSocket, patience: Duration) -> Result<bool> {
        at.receives(patience, |received| received.windows(38).any(|bytes| bytes == self.body()))
    }
}

/// Checks that of all kinds those arrive that should, where the first host sends them to the second, from an address of its
/// own or from another one.
fn arrive([from, to]: [&Host; 2], sender: Option<[u8; 6]>, should: impl Fn(&Kind) -> bool) -> Result<()> {
    let near = FrameSocket::open(from, "eth0", 0)?;
    let far: Vec<_> =
        KINDS.iter().map(|kind| FrameSocket::open(to, "eth0", kind.received)).collect::<Result<_>>()?;
    for kind in &KINDS {
        near.send(&kind.frame(sender.unwrap_or(near.address())))?;
    }
    for (kind, far) in KINDS.iter().zip(&far).filter(|(kind, _)| should(kind)) {
        ensure!(kind.arrives(far, PATIENCE)?, "{} does not arrive", kind.what);
    }
    std::thread::sleep(SILENCE);
    for (kind, far) in KINDS.iter().zip(&far).filter(|(kind, _)| !should(kind)) {
        ensure!(!kind.arrives(far, Duration::ZERO)?, "{} arrives", kind.what);
    }
    Ok(())
}

fn frames_pass(lab: Lab, attach: Attach, role: Role) -> Result<()> {
    let (filtered, other) = (lab.host("filtered")?, lab.host("other")?);
    lab.wire((&filtered, "eth0"), (&other, "eth0"), 1500)?;
    let both = [[&other, &filtered], [&filtered, &other]];
    for way in both {
        arrive(way, None, |_| true).context("without a filter")?;
    }
    let sender = FrameSocket::open(&other, "eth0", 0)?.address();
    let mac = sender.map(|byte| format!("{byte:02x}")).join(":");
    let nic = match role {
        Role::Host => "device: eth0,".to_owned(),
        Role::Guest => format!("device: eth0, role: guest, mac: \"{mac}\", addresses: [10.78.0.2],"),
    };
    let policy = |names: &str| {
        let rules = NOTHING.replace('\n', "\n    ");
        format!("groups:\n  web:\n    {rules}\nnics: [{{ {nic} groups: [web]{names} }}]\n")
    };
    let mut agent = Agent::start(&filtered, &policy(""), attach.into()).context("starting the agent")?;
    if attach == Attach::Xdp {
        ensure!(native_xdp(&filtered, "eth0")?.is_some(), "it is not attached at XDP");
    }
    for way in both {
        arrive(way, None, |_| false).context("without names")?;
    }
    agent.apply(&policy(NAMES))?;

    let guest = role == Role::Guest;
    let count = |which: &dyn Fn(&Kind) -> bool| KINDS.iter().filter(|kind| which(kind)).count() as u64;
    let (named, others) = (count(&|kind| kind.named), count(&|kind| !kind.named));
    for way in both {
        counting(&agent, &[("ethertype", named), ("not-ip", others)], || {
            arrive(way, None, |kind| kind.named)
        })?;
    }
    // Whoever sends to the host may do so from any address; a guest may not.
    let spoofed = if guest { named } else { 0 };
    let moves = [("ethertype", named - spoofed), ("anti-spoofing", spoofed), ("not-ip", others)];
    counting(&agent, &moves, || arrive(both[0], Some([2, 0, 0, 0, 0, 66]), |kind| kind.named && !guest))
        .context("from elsewhere")
}

/// Checks that so many packets were counted for each reason while `work` ran.
fn counting(agent: &Agent, moves: &[(&str, u64)], work: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = agent.stats()?;
    work()?;
    let after = agent.stats()?;
    for &(reason, expected) in moves {
        let moved = after.reason(reason) - before.reason(reason);
        ensure!(
            moved == expected,
            "{reason} counted {moved} and not {expected}: {:?}",
            after.moved_since(&before)
        );
    }
    Ok(())
}
