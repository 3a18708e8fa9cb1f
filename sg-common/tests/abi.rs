//! The layout of everything that crosses the kernel border, as text, against committed copies: `abi-vN.txt` for
//! what stands in maps, `image-vN.txt` for images.
//!
//! A copy is named by its version: a layout that changes needs a new version, and with it a new file.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a panic is how a test reports")]

use std::{
    fmt::Write as _,
    fs,
    mem::offset_of,
    path::{Path, PathBuf},
};

use sg_common::{
    abi::{self, Counter, reason_counter},
    denied::{DeniedEntry, DeniedKey, DeniedKeyV4, DeniedNic, DeniedRing, Origin, Recent},
    event::{ReplacedFlow, Watch},
    exchange::{Exchanges, Leased, Open, Solicitor},
    flow::{
        self, ClosedEntry, Direction, First, FlowEntry, FlowKey, FlowKeyV4, PortsProtoNic, Shares, State,
        Width, common_tickets, own_tickets,
    },
    fragment::{FragmentEntry, FragmentKey},
    image::{self, Dimension, Header, Reference, header, inner_control, leaf_control, service_key},
    packet::{Family, Tag, Vlan, ethertype},
    pending::{self, Pending},
    reject::Mark,
    verdict::{Decision, Reason, Verdict},
};

macro_rules! layout {
    ($text:ident, $kind:ident { $($field:ident: $type:ty $(as $integer:ty)?),* $(,)? }) => {
        // A field that is missing here, or has another type, does not compile.
        let $kind { $($field),* } = $kind::default();
        $(let _: $type = $field;)*
        $($(assert_eq!((size_of::<$type>(), align_of::<$type>()), (size_of::<$integer>(), align_of::<$integer>()));)?)*
        let _ = writeln!($text, "{}: {} bytes, aligned to {}", stringify!($kind), size_of::<$kind>(), align_of::<$kind>());
        $(let _ = writeln!($text, "  {:>3} {}: {}", offset_of!($kind, $field), stringify!($field), written!($type $(as $integer)?));)*
    };
}

/// How a type is written: as the integer that it is.
macro_rules! written {
    ($type:ty) => {
        stringify!($type)
    };
    ($type:ty as $integer:ty) => {
        stringify!($integer)
    };
}

macro_rules! values {
    ($text:ident, $title:literal, $($value:expr),* $(,)?) => {
        let _ = writeln!($text, $title);
        $(let _ = writeln!($text, "  {} = {:#x}", stringify!($value), $value);)*
    };
}

/// Tags of two networks.
const OUTER: Tag = Tag { kind: ethertype::SERVICE_VLAN, control: 0x6005 };
const INNER: Tag = Tag { kind: ethertype::VLAN, control: 7 };

/// What is open without a rule.
fn exchanges(text: &mut String) {
    layout!(text, Solicitor { high: u64, low: u64, when: u64, vlan: u64 });
    layout!(text, Open { client: u64, when: u64, transaction: u32, vlan: u32 });
    layout!(text, Leased { ends: u64, vlan: u64 });
    layout!(text, Exchanges { solicitors: [Solicitor; 8], open: [Open; 16], leases: [Leased; 16] });
}

/// Flows and what names them.
fn flows(text: &mut String) {
    layout!(
        text,
        FlowKey {
            remote_high: u64,
            remote_low: u64,
            local_high: u64,
            local_low: u64,
            l4: PortsProtoNic,
            vlan: u64
        }
    );
    layout!(text, FlowKeyV4 { remote: u32, local: u32, l4: PortsProtoNic });
    layout!(
        text,
        FlowEntry {
            last_seen: u64,
            decision: u64,
            generation: u32,
            status: u8,
            first: First as u8,
            pending_first: u8,
            pending_length: u8,
            packets: [u64; 2],
            bytes: [u64; 2],
            sent: [u32; 2],
            acknowledged: [u32; 2],
            opened: u32,
            pending_syn: u32,
        }
    );
}

/// What is counted of packets that do not pass, and what watchers see.
fn observed(text: &mut String) {
    layout!(
        text,
        DeniedKey {
            remote_high: u64,
            remote_low: u64,
            local_high: u64,
            local_low: u64,
            l4: PortsProtoNic,
            origin: Origin as u64
        }
    );
    layout!(text, DeniedKeyV4 { ends: u64, l4: PortsProtoNic, origin: Origin as u64 });
    layout!(
        text,
        DeniedEntry {
            used: u64,
            key: DeniedKey,
            recent: Recent as u64,
            packets: u64,
            bytes: u64,
            first: u64,
            last: u64,
            latest: u64,
            reported_packets: u64,
            reported_bytes: u64,
            unnamed: u64
        }
    );
    layout!(text, DeniedNic { due: [u64; 2], entries: u64, spare: u64 });
    layout!(text, DeniedRing { head: u64, tail: u64 });
    layout!(
        text,
        Watch {
            until: u64,
            kinds: u32,
            nic: u32,
            remote: [u64; 2],
            mask: [u64; 2],
            family: u8,
            direction: u8,
            verdict: u8,
            has_protocol: u8,
            protocol: u8,
            capture: u8,
            port: u16,
            flows_until: u64
        }
    );
    layout!(text, ReplacedFlow { key: FlowKey, entry: FlowEntry });
}

/// What stands in maps.
fn maps() -> String {
    let mut text = String::new();
    layout!(text, Counter { packets: u64, bytes: u64 });
    flows(&mut text);
    layout!(text, ClosedEntry { last_seen: u64, began: u64 });
    layout!(text, Shares { common: u32, each: u32 });
    layout!(
        text,
        FragmentKey {
            source_high: u64,
            source_low: u64,
            destination_high: u64,
            destination_low: u64,
            identification: u32,
            nic: u16,
            protocol: u8,
            way: u8,
            vlan: u64,
        }
    );
    layout!(text, FragmentEntry { decision: u64, last_seen: u64, progress: u64 });
    exchanges(&mut text);
    observed(&mut text);
    values!(
        text,
        "\nflows",
        Direction::Ingress as u8,
        Direction::Egress as u8,
        Family::V4 as u8,
        Family::V6 as u8,
        PortsProtoNic::new((1, 2), 3, 4, Family::V6).word(),
        Vlan::NONE.behind(OUTER).behind(INNER).word(),
        State::New as u8,
        State::Established as u8,
        State::Closing as u8,
        flow::flags::FIN_ORIGINAL,
        flow::flags::FIN_REPLY,
        flow::flags::SYN,
        flow::flags::EITHER_WAY,
        FlowEntry::default().with_state(State::Closing).status,
        FlowEntry::PENDING,
    );
    let indices = [(6, 0), (6, 1), (6, 2), (17, 0), (17, 1), (1, 0), (47, 0), (47, 1)]
        .map(|(protocol, state)| flow::timeout_index(Family::V4, protocol, state));
    let _ = writeln!(text, "  timeouts of TCP 0 1 2, UDP 0 1, ICMP, other 0 1: {indices:?}");
    values!(
        text,
        "\ncounters",
        abi::NIC_COUNTERS,
        abi::HOST_COUNTERS,
        abi::flows::EVENTS_LOST,
        abi::flows::REPLACED,
        abi::flows::UNREAD,
        abi::flows::EVICTED,
        abi::flows::ESTABLISHED,
        abi::flows::HALF_OPEN,
        reason_counter(0, Direction::Ingress, Reason::Rule),
        reason_counter(0, Direction::Egress, Reason::Rule),
    );
    values!(
        text,
        "\ntickets",
        common_tickets(Width::Narrow),
        common_tickets(Width::Wide),
        own_tickets(Width::Narrow, 0),
        own_tickets(Width::Wide, 0),
        own_tickets(Width::Narrow, 1),
    );
    values!(text, "\nrejects", Mark::new(1, 2).word());
    values!(
        text,
        "\npending",
        Pending::until(1, 2).word(),
        Pending::until(1, 2).over().word(),
        pending::LAST_ID
    );
    text.push_str("\nreasons\n");
    for reason in Reason::ALL {
        let _ = writeln!(text, "  {} {}", reason as u8, reason.name());
    }
    values!(
        text,
        "\ndecisions",
        Decision::new(Verdict::Accept, Reason::Rule, 1).word(),
        Decision::new(Verdict::Drop, Reason::Rule, 1).word(),
    );
    text
}

/// What stands in images.
fn images() -> String {
    let mut text = String::new();
    values!(
        text,
        "image",
        Header::magic_version(),
        Header::unfiltered(),
        image::MAX_STEPS,
        image::NODE_WORDS,
        image::FANOUT,
        image::SMALL_FANOUT,
        image::NO_BOUND,
        header::MAGIC_VERSION,
        header::GENERATION_FLAGS,
        header::COUNTERS,
        header::PENDING,
        header::ROOTS,
        header::OWN,
        header::ALLOWED_SOURCES,
        header::TAKEOVER,
        header::MAC,
        header::DHCP_SERVERS,
        header::NO_REJECT,
        header::ETHERTYPES,
        image::MAX_ETHERTYPES,
        flow::AS_ESTABLISHED,
        flow::FOREVER,
        header::WORDS,
        image::flags::GUEST,
        image::flags::REVALIDATE,
        image::flags::ANTI_SPOOFING,
        image::flags::MAC,
        image::flags::STRICT,
        image::flags::PASS_DECRYPTED,
        image::flags::ETHERTYPES,
        image::flags::LAYER_3,
        image::DIMENSIONS,
        Reference::node(1, Dimension::SourcePort, true).word(),
        Reference::small(1, Dimension::SourcePort, true).word(),
        Reference::directory(1, Dimension::SourcePort, 2, 3).word(),
        leaf_control(1),
        inner_control(1),
        image::TREES,
        image::PARTITION_WORDS,
        image::RANKS,
        Reference::partition(1).word(),
        Reference::lowest(5).word(),
        Reference::ranked(Decision::new(Verdict::Accept, Reason::Rule, 7), 5).word(),
        service_key(6, 22),
    );
    let _ = writeln!(text, "  CLASS_WORDS = {:?}\n\ndimensions", image::CLASS_WORDS);
    for dimension in Dimension::ALL {
        let bits = [Family::V4, Family::V6].map(|family| dimension.key_bits(family));
        let _ = writeln!(text, "  {} {dimension:?}: {bits:?} bits", dimension as u8);
    }
    text
}

#[track_caller]
fn compare(what: &str, version: u32, found: &str) {
    let name = format!("{what}-v{version}.txt");
    let committed = fs::read_to_string(tests().join(&name)).unwrap_or_default();
    if found == committed {
        return;
    }
    let differing = found.lines().zip(committed.lines()).find(|(found, committed)| found != committed);
    let fresh = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&name);
    fs::write(&fresh, found).unwrap();
    panic!(
        "what the kernel and the agent share is not what sg-common/tests/{name} says (first difference, found and \
         committed: {differing:?}).\n\
         The change was not meant: undo it.\n\
         It was meant: raise {what}::VERSION, so that two builds never take each other's bytes for their own; copy \
         {} to sg-common/tests/{what}-v<new version>.txt and remove the old file.",
        fresh.display()
    );
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

#[test]
fn a_layout_in_maps_never_changes_without_its_version() {
    compare("abi", abi::VERSION, &maps());
}

#[test]
fn a_layout_in_images_never_changes_without_its_version() {
    compare("image", image::VERSION, &images());
}

#[test]
fn there_are_no_copies_of_other_versions() {
    let mut found: Vec<String> = fs::read_dir(tests())
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "txt"))
        .collect();
    found.sort();
    assert_eq!(found, [format!("abi-v{}.txt", abi::VERSION), format!("image-v{}.txt", image::VERSION)]);
}

#[test]
fn counters_of_reasons_never_meet() {
    let mut seen = [false; abi::NIC_COUNTERS as usize];
    for direction in [Direction::Ingress, Direction::Egress] {
        for reason in Reason::ALL {
            let number = reason_counter(1000, direction, reason) - 1000;
            assert!(!std::mem::replace(&mut seen[number as usize], true), "{direction:?} {reason:?}");
        }
    }
}
