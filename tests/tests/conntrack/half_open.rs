//! How NICs share the room of half-open flows: what a flood takes, whom it evicts, and what it leaves. With 4096 flows there are
//! 1024 places in common and 512 for shares, in each address family.

use sg_common::{
    abi::{HOST_COUNTERS, NIC_COUNTERS, flows::EVICTED, reason_counter},
    flow::Direction,
    packet::Family,
    verdict::Reason,
};
use sg_compile::{ImageOptions, LARGEST_WORDS, compile};
use sg_kernel::{Datapath, FlowOptions, Limits, Options, Program};
use sg_tests::packet::{UDP, udp};

use crate::support::runs::{Test, packet};

pub(crate) const TESTS: &[Test] = &[
    ("a_flood_takes_what_others_leave", a_flood_takes_what_others_leave),
    ("beyond_its_share_the_oldest_of_a_nic_goes", beyond_its_share_the_oldest_goes),
    ("a_nic_that_comes_has_its_share_at_once", a_nic_that_comes_has_its_share),
    ("a_smaller_share_keeps_what_fits", a_smaller_share_keeps_what_fits),
    ("what_is_in_use_outlives_a_flood", what_is_in_use_outlives_a_flood),
];

const COMMON: u16 = 1_024;
const SHARES: u16 = 512;
/// Of two NICs.
const SHARE: u16 = SHARES / 2;
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// Inbound everything is open; outbound nothing passes but what belongs to a flow.
const POLICY: &str = "groups: { g: { inner_access: drop, ingress: [{ protocol: all }], egress: [{ action: drop, protocol: all }] } }\n\
                      nics: [{ device: nic, addresses: [10.0.0.5], groups: [g] }]";

struct Nics {
    datapath: Datapath,
    family: Family,
}

impl Nics {
    fn new(family: Family, nics: u16, flows: FlowOptions) -> Self {
        let limits = Limits { nics: 4, flows: 1 << 12, counters: 1 << 10, denied: 64 };
        let datapath = Datapath::load(&Options { limits, flows, ..Options::default() }).unwrap();
        let mut all = Self { datapath, family };
        for nic in 0..nics {
            all.comes(nic);
        }
        all
    }

    /// A NIC comes, and is the one that packets are of.
    fn comes(&mut self, nic: u16) {
        let policy = sg_document::parse("shares", POLICY.as_bytes()).unwrap().policy;
        let options = ImageOptions { generation: 1, counters: block(nic), budget_words: LARGEST_WORDS };
        let image = compile(&policy, &policy.nics()[0], &options, &mut |_| 1_000).unwrap();
        self.datapath.publish(nic, &image).unwrap();
        self.datapath.stand_in(nic).unwrap();
    }

    /// Opens a half-open flow for each of these ports.
    fn asks(&mut self, nic: u16, ports: std::ops::Range<u16>) {
        self.datapath.stand_in(nic).unwrap();
        for port in ports {
            let frame = frame(self.family, Program::Ingress, port);
            assert!(self.datapath.run(Program::Ingress, &frame, 1).unwrap().passed, "port {port}");
        }
    }

    /// How many of them get a reply, which takes a flow.
    fn reply_to(&mut self, nic: u16, ports: std::ops::Range<u16>) -> usize {
        self.datapath.stand_in(nic).unwrap();
        let family = self.family;
        let passes = |port: &u16| {
            self.datapath.run(Program::Egress, &frame(family, Program::Egress, *port), 1).unwrap().passed
        };
        ports.filter(passes).count()
    }

    fn flows(&self, nic: u16) -> usize {
        self.datapath.flows().unwrap().iter().filter(|(key, _)| key.l4.nic() == nic).count()
    }

    /// How many flows made room: of all NICs, and of these two.
    fn evicted(&self) -> [u64; 3] {
        let of = |nic| reason_counter(block(nic), Direction::Ingress, Reason::HalfOpenEvicted);
        let counters = self.datapath.counters(&[EVICTED, of(0), of(1)]).unwrap();
        counters.iter().map(|counter| counter.packets).collect::<Vec<_>>().try_into().unwrap()
    }
}

fn block(nic: u16) -> u32 {
    HOST_COUNTERS + u32::from(nic) * NIC_COUNTERS
}

/// A datagram of a client's port to port 53, or back.
fn frame(family: Family, program: Program, port: u16) -> Vec<u8> {
    let sent = program == Program::Egress;
    let (from, to) = if sent { (53, port) } else { (port, 53) };
    packet(family, !sent, UDP, &udp([from, to], &[]))
}

fn a_flood_takes_what_others_leave() {
    const FLOOD: u16 = 3_000;
    for family in FAMILIES {
        let mut nics = Nics::new(family, 2, FlowOptions::default());
        nics.asks(0, 1_000..1_020);
        nics.asks(1, 2_000..2_000 + FLOOD);
        // In between, and within the share, too.
        nics.asks(0, 1_020..1_040);
        nics.asks(1, 2_000 + FLOOD..2_000 + 2 * FLOOD);
        let kept = u64::from(COMMON + SHARE);
        let made_room = 2 * u64::from(FLOOD) - kept;
        assert_eq!(nics.evicted(), [made_room, 0, made_room], "{family:?}");
        assert_eq!((nics.flows(0), nics.flows(1)), (40, kept as usize), "{family:?}");
        // What is left of the flood are its last flows.
        let last = 2_000 + 2 * FLOOD - COMMON - SHARE;
        assert_eq!(nics.reply_to(1, last - 500..last), 0, "{family:?}");
        assert_eq!(nics.reply_to(1, last..2_000 + 2 * FLOOD), usize::from(COMMON + SHARE), "{family:?}");
        assert_eq!(nics.reply_to(0, 1_000..1_040), 40, "{family:?}: a NIC within its share lost a flow");
    }
}

fn beyond_its_share_the_oldest_goes() {
    const OVER: u16 = 44;
    for family in FAMILIES {
        let mut nics = Nics::new(family, 2, FlowOptions::default());
        nics.asks(0, 1_000..1_000 + SHARE + OVER);
        // So far others leave it the room.
        assert_eq!(nics.flows(0), usize::from(SHARE + OVER));
        nics.asks(1, 2_000..5_000);
        assert_eq!(nics.evicted()[1], u64::from(OVER), "{family:?}");
        assert_eq!(nics.reply_to(0, 1_000..1_000 + OVER), 0, "{family:?}");
        assert_eq!(nics.reply_to(0, 1_000 + OVER..1_000 + OVER + SHARE), usize::from(SHARE), "{family:?}");
    }
}

fn a_nic_that_comes_has_its_share() {
    const ALL: u16 = COMMON + SHARES;
    for family in FAMILIES {
        let mut nics = Nics::new(family, 1, FlowOptions::default());
        nics.asks(0, 1_000..4_000);
        assert_eq!(nics.flows(0), usize::from(ALL), "{family:?}: one NIC alone has it all");
        nics.comes(1);
        nics.asks(1, 1_000..1_020);
        nics.asks(0, 6_000..9_000);
        assert_eq!(nics.reply_to(1, 1_000..1_020), 20, "{family:?}");
        nics.asks(1, 2_000..5_000);
        assert_eq!(nics.reply_to(0, 9_000 - SHARE..9_000), usize::from(SHARE), "{family:?}");
        let [all, quiet, other] = nics.evicted();
        assert_eq!(all, quiet + other);
        assert_eq!(all + (nics.flows(0) + nics.flows(1)) as u64, 9_020, "{family:?}: a flow was lost unseen");
        // It leaves, and its room is the other's again.
        nics.datapath.withdraw(1).unwrap();
        nics.datapath.forget_flows(1).unwrap();
        nics.datapath.stand_in(0).unwrap();
        nics.datapath.age().unwrap();
        nics.asks(0, 20_000..23_000);
        let established = usize::from(SHARE);
        assert_eq!(nics.flows(0) - established, usize::from(ALL), "{family:?}");
    }
}

/// Who stands in a place that has become another NIC's goes home when that needs it.
fn a_smaller_share_keeps_what_fits() {
    for family in FAMILIES {
        let mut nics = Nics::new(family, 1, FlowOptions::default());
        // 300 are in the share, and so many of all are established that the others fit a smaller one.
        nics.asks(0, 1_000..1_000 + COMMON + 300);
        assert_eq!(nics.reply_to(0, 1_000..1_100), 100);
        assert_eq!(nics.reply_to(0, 1_300..1_300 + COMMON), usize::from(COMMON));
        nics.comes(1);
        nics.asks(1, 5_000..8_000);
        assert_eq!(nics.evicted()[1], 0, "{family:?}");
        assert_eq!(nics.reply_to(0, 1_100..1_300), 200, "{family:?}");
        assert_eq!(nics.flows(1), usize::from(COMMON + SHARE), "{family:?}");
    }
}

/// Where a NIC has its share of established flows, further ones stay among the half-open ones, and a flood of its own leaves
/// them alone.
fn what_is_in_use_outlives_a_flood() {
    for family in FAMILIES {
        let mut nics = Nics::new(family, 2, FlowOptions { per_nic: 10, ..FlowOptions::default() });
        nics.asks(0, 1_000..1_050);
        assert_eq!(nics.reply_to(0, 1_000..1_050), 50);
        for flood in [2_000..5_000, 5_000..8_000] {
            nics.asks(0, flood);
            assert_eq!(nics.reply_to(0, 1_000..1_050), 50, "{family:?}");
        }
    }
}
