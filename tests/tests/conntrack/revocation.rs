//! What becomes of a connection whose rule is gone, packet by packet through the program in the kernel: the cases that were
//! found in the field, and hostile ends that send whatever they like (`sg-common/tests/world`). Over tc and XDP, both families;
//! what was seen of time is made older instead of waited for.

use sg_check::CompiledNic;
use sg_common::{flow::State, packet::Family, verdict::Reason};
use sg_kernel::{Datapath, Limits, Options, Program};
use sg_tests::packet::{FIN, RST, tcp};

use self::world::{ACK, CLIENT, Filter, Rules, SERVER, SYN, Segment, Sent, World};
use crate::support::runs::{Test, packet};

#[path = "../../../sg-common/tests/world/mod.rs"]
pub(crate) mod world;

pub(crate) const TESTS: &[Test] = &[
    ("no_byte_reaches_the_server_whatever_the_ends_send", whatever_the_ends_send),
    ("a_reset_of_a_tombstone_revives_nothing", a_reset_of_a_tombstone_revives_nothing),
    ("silence_revives_nothing", silence_revives_nothing),
    ("what_has_ended_is_judged_as_it_was_opened", what_has_ended_is_judged_as_it_was_opened),
    ("short_connections_fill_no_table", short_connections_fill_no_table),
    ("a_connection_from_before_the_filter_is_revoked_with_its_rule", from_before_the_filter),
    ("what_nobody_knows_is_taken_over_for_a_while", taken_over_for_a_while),
    ("takeover_is_what_the_document_says", takeover_is_what_the_document_says),
    ("a_half_closed_connection_outlives_an_outage", a_half_closed_connection_outlives_an_outage),
];

/// A NIC with the address of the server, as one family and one way to hook see it.
pub(crate) struct Nic {
    pub(crate) datapath: Datapath,
    pub(crate) family: Family,
    pub(crate) received: Program,
    generation: u32,
    /// What stands before the groups.
    head: String,
    /// What lets clients in.
    pub(crate) rule: &'static str,
    rules: Rules,
    ports: [u16; 2],
}

/// With few places, since each is looked at whenever time passes.
fn small_datapath() -> Datapath {
    let limits = Limits { nics: 4, flows: 1 << 12, counters: 512, denied: 64 };
    Datapath::load(&Options { limits, ..Options::default() }).unwrap()
}

/// Every family over every hook.
pub(crate) fn each(test: impl Fn(&mut Nic)) {
    each_under("", Rules::Loose, test);
}

/// The same, where the document begins with `head`. A datapath takes longer to load than all of these tests.
fn each_under(head: &str, rules: Rules, test: impl Fn(&mut Nic)) {
    let mut datapath = small_datapath();
    for family in [Family::V4, Family::V6] {
        for received in [Program::Ingress, Program::Xdp] {
            let mut nic = Nic::over(datapath, family, received, head, rules);
            test(&mut nic);
            datapath = nic.datapath;
        }
    }
}

impl Nic {
    fn over(datapath: Datapath, family: Family, received: Program, head: &str, rules: Rules) -> Self {
        let ports = [50_000, 22];
        let head = head.to_owned();
        let rule = "{ id: ssh, protocol: tcp, ports: 22 }";
        let mut nic = Self { datapath, family, received, generation: 0, head, rule, rules, ports };
        nic.datapath.forget_flows(0).unwrap();
        nic.allow(true);
        nic.datapath.stand_in(0).unwrap();
        nic
    }

    /// Publishes a policy that lets clients in, or not.
    pub(crate) fn allow(&mut self, clients: bool) {
        let kind = if self.rules == Rules::Loose { "basic, inner_access: drop" } else { "enterprise" };
        let rule = if clients { self.rule } else { "" };
        let text = format!(
            "{}\ngroups: {{ g: {{ type: {kind}, ingress: [{rule}] }} }}\n\
             nics: [{{ device: nic, addresses: [10.0.0.5, \"2001:db8::5\"], groups: [g] }}]",
            self.head
        );
        let policy = sg_document::parse("revocation", text.as_bytes()).unwrap().policy;
        let mut image = CompiledNic::new(&policy, &policy.nics()[0]).unwrap().image;
        self.generation += 1;
        image.set_generation(self.generation);
        self.datapath.publish(0, &image).unwrap();
    }

    /// What becomes of a segment, and why where tc says it.
    fn judge(&mut self, segment: &Segment) -> (bool, Option<Reason>) {
        let program = if segment.end == CLIENT { self.received } else { Program::Egress };
        let outcome = self.datapath.run(program, &self.frame(segment), 1).unwrap();
        (outcome.passed, outcome.decision.map(|decision| decision.reason().unwrap()))
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, end: usize, flags: u8, numbers: [u32; 2], data: usize, passes: bool) {
        let [sequence, acknowledgement] = numbers;
        let segment = Segment { end, flags, sequence, acknowledgement, data };
        let (passed, reason) = self.judge(&segment);
        assert_eq!(passed, passes, "{segment:?} over {:?} {:?}: {reason:?}", self.family, self.received);
    }

    /// The same, where the server sends and is told why not.
    #[track_caller]
    fn refuses(&mut self, data: usize, wanted: Reason) {
        let segment = Segment { end: SERVER, flags: ACK, sequence: 5_001, acknowledgement: 1_001, data };
        assert_eq!(self.judge(&segment), (false, Some(wanted)), "over {:?}", self.family);
    }

    /// The client connects from `port`, and says something: its next number is 1,011, the server's 5,001.
    pub(crate) fn connect(&mut self, port: u16) {
        self.ports[0] = port;
        self.expect(CLIENT, SYN, [1_000, 0], 0, true);
        self.expect(SERVER, SYN | ACK, [5_000, 1_001], 0, true);
        self.expect(CLIENT, ACK, [1_001, 5_001], 10, true);
        self.expect(SERVER, ACK, [5_001, 1_011], 0, true);
    }

    pub(crate) fn states(&self) -> Vec<u8> {
        self.datapath.flows().unwrap().iter().map(|(_, entry)| entry.state()).collect()
    }

    fn frame(&self, segment: &Segment) -> Vec<u8> {
        let [client, server] = self.ports;
        let (from, to) = if segment.end == CLIENT { (client, server) } else { (server, client) };
        let mut tcp = tcp([from, to], [segment.sequence, segment.acknowledgement], segment.flags);
        tcp.resize(20 + segment.data, 0x2e);
        self.packet(segment.end, 6, &tcp)
    }

    /// A packet of `end`, of any protocol.
    pub(crate) fn packet(&self, end: usize, protocol: u8, carried: &[u8]) -> Vec<u8> {
        packet(self.family, end == CLIENT, protocol, carried)
    }
}

impl Filter for Nic {
    fn passes(&mut self, segment: &Segment) -> bool {
        self.judge(segment).0
    }

    fn wait(&mut self, seconds: u64) {
        self.datapath.let_time_pass(seconds).unwrap();
    }

    fn age(&mut self) {
        self.datapath.age().unwrap();
    }

    fn forget_closed(&mut self) {
        self.datapath.forget_closed(0).unwrap();
    }

    fn revoke(&mut self) {
        self.allow(false);
    }

    fn known(&mut self) -> String {
        let flows = self.datapath.flows().unwrap();
        format!("{:?}", flows.iter().map(|(_, entry)| (entry.status, entry.first)).collect::<Vec<_>>())
    }
}

fn whatever_the_ends_send() {
    let sequences = if std::env::var_os("SG_DEEP").is_some() { 2_000 } else { 60 };
    let (mut steps, mut blocked, mut lived) = (0_u64, 0_u64, 0_u64);
    let mut datapath = Some(small_datapath());
    for family in [Family::V4, Family::V6] {
        for received in [Program::Ingress, Program::Xdp] {
            for seed in 0..sequences {
                let nic = |rules| Nic::over(datapath.take().unwrap(), family, received, "", rules);
                let mut world = World::new(seed, nic);
                world.live();
                lived += u64::from(world.delivered > 0);
                world.revoke();
                for _ in 0..40 {
                    steps += 1;
                    let sent = world.step();
                    if world.is_another {
                        break;
                    }
                    let place = format!("seed {seed}, {family:?}, {received:?}, {:?}", world.rules);
                    assert_ne!(sent, Sent::Reaches, "{place}\n{}", world.log);
                    blocked += u64::from(sent == Sent::Blocked);
                }
                datapath = Some(world.filter.datapath);
            }
        }
    }
    println!("{steps} steps through the program, {blocked} segments with bytes were dropped");
    assert!(lived > sequences * 2 && blocked > sequences * 4);
}

/// S25: an exact reset, which the filter drops, made the tombstone live for seconds; the server's next output opened the
/// connection anew, as its own.
fn a_reset_of_a_tombstone_revives_nothing() {
    for head in ["", "mid_stream: strict"] {
        each_under(head, Rules::Loose, |nic| {
            nic.connect(50_000);
            nic.allow(false);
            nic.expect(CLIENT, ACK, [1_011, 5_001], 8, false);
            for flags in [RST, RST | ACK, FIN | ACK] {
                nic.expect(CLIENT, flags, [1_011, 5_001], 0, false);
                nic.wait(4);
                nic.age();
                nic.expect(SERVER, ACK, [5_001, 1_011], 9, false);
                nic.expect(CLIENT, ACK, [1_011, 5_010], 24, false);
            }
            // What is dropped prolongs nothing either.
            for _ in 0..3 {
                nic.wait(300);
                nic.expect(SERVER, ACK, [5_001, 1_011], 9, false);
            }
            nic.wait(100);
            nic.age();
            assert!(nic.states().is_empty(), "it is known for as long as an established one");
            nic.expect(SERVER, ACK, [5_001, 1_011], 9, false);
            nic.expect(CLIENT, ACK, [1_011, 5_010], 24, false);
        });
    }
}

/// S15: both ends are silent until nobody knows the connection; then the server speaks.
fn silence_revives_nothing() {
    each(|nic| {
        nic.connect(50_000);
        nic.allow(false);
        nic.expect(CLIENT, ACK, [1_011, 5_001], 8, false);
        nic.wait(5_000);
        nic.age();
        assert!(nic.states().is_empty());
        nic.refuses(30, Reason::NotTakenOver);
        nic.expect(CLIENT, ACK, [1_011, 5_031], 24, false);
    });
}

fn what_has_ended_is_judged_as_it_was_opened() {
    each(|nic| {
        for stands in [true, false] {
            nic.allow(true);
            nic.connect(50_000);
            nic.expect(CLIENT, RST, [1_011, 0], 0, true);
            assert_eq!(nic.states(), [State::Closing as u8]);
            nic.wait(4);
            nic.age();
            assert!(nic.states().is_empty(), "it takes nobody's room");
            nic.allow(stands);
            // The reset was none to its receiver, which speaks.
            nic.expect(SERVER, ACK, [5_001, 1_011], 9, stands);
            nic.expect(CLIENT, ACK, [1_011, 5_010], 24, stands);
            assert_eq!(nic.states(), if stands { vec![State::Established as u8] } else { vec![] });
            nic.datapath.forget_flows(0).unwrap();
            nic.datapath.stand_in(0).unwrap();
        }
    });
}

/// More connections than any table holds, each of which ends.
fn short_connections_fill_no_table() {
    each(|nic| {
        for round in 0..30 {
            for port in 0..50 {
                nic.connect(1_024 + round * 50 + port);
                nic.expect(CLIENT, FIN | ACK, [1_011, 5_001], 0, true);
                nic.expect(SERVER, FIN | ACK, [5_001, 1_012], 0, true);
                nic.expect(CLIENT, ACK, [1_012, 5_002], 0, true);
            }
            assert!(nic.states().iter().all(|&state| state == State::Closing as u8));
            nic.wait(4);
            nic.age();
            assert!(nic.states().is_empty());
        }
        nic.allow(false);
        nic.expect(SERVER, ACK, [5_002, 1_012], 9, false);
    });
}

/// 03: the connection was there before the filter, and the server speaks first, which looks like an outbound one.
fn from_before_the_filter() {
    for first in [CLIENT, SERVER] {
        each(|nic| {
            nic.expect(first, ACK, [5_001, 1_011], 9, true);
            nic.expect(first ^ 1, ACK, [1_011, 5_010], 9, true);
            nic.allow(false);
            for end in [CLIENT, SERVER, CLIENT] {
                nic.expect(end, ACK, [1_020, 5_010], 9, false);
            }
            nic.allow(true);
            nic.expect(first, ACK, [5_010, 1_020], 9, true);
        });
    }
}

fn taken_over_for_a_while() {
    for (head, decides) in [("", Reason::NotTakenOver), ("default: reject", Reason::NotTakenOver)] {
        each_under(head, Rules::Loose, |nic| {
            nic.allow(false);
            nic.wait(900);
            nic.expect(SERVER, ACK, [5_001, 1_011], 9, true);
            nic.datapath.forget_flow(&nic.datapath.flows().unwrap()[0].0).unwrap();
            nic.wait(20);
            nic.refuses(9, decides);
            // The reset of a program's packet is what `default: reject` is for.
            let segment = Segment { end: SERVER, flags: ACK, sequence: 1, acknowledgement: 1, data: 1 };
            let frame = nic.frame(&segment);
            let decision = nic.datapath.run(Program::Egress, &frame, 1).unwrap().decision.unwrap();
            assert_eq!(decision.rejects(), !head.is_empty());
            // Where the rules of both directions accept it, it goes on at any time.
            nic.allow(true);
            nic.expect(SERVER, ACK, [5_001, 1_011], 9, true);
            nic.expect(CLIENT, ACK, [1_011, 5_010], 9, true);
            nic.allow(false);
            nic.expect(SERVER, ACK, [5_010, 1_020], 9, false);
        });
    }
}

fn takeover_is_what_the_document_says() {
    let mut datapath = small_datapath();
    for (head, goes_on) in [
        ("", [true, true, false]),
        ("takeover: established", [true, true, false]),
        ("takeover: 0", [true, false, false]),
        ("takeover: 500", [true, false, false]),
        ("takeover: forever", [true, true, true]),
        ("{ takeover: forever, mid_stream: strict", [false, false, false]),
    ] {
        let head = head.replace("{ takeover: forever, ", "takeover: forever\n");
        let mut nic = Nic::over(datapath, Family::V4, Program::Ingress, &head, Rules::Loose);
        nic.allow(false);
        for (seconds, goes_on) in [0, 600, 600].into_iter().zip(goes_on) {
            nic.wait(seconds);
            // In the very moment of the start a takeover of no seconds has not ended yet.
            if head != "takeover: 0" || seconds > 0 {
                nic.expect(SERVER, ACK, [5_001, 1_011], 9, goes_on);
            }
            for (key, _) in nic.datapath.flows().unwrap() {
                nic.datapath.forget_flow(&key).unwrap();
            }
        }
        datapath = nic.datapath;
    }
}

/// 04: the client half-closes, the server replies and closes, and the network behind the filter loses all of it for nine
/// seconds.
fn a_half_closed_connection_outlives_an_outage() {
    each_under("", Rules::Tight, |nic| {
        nic.connect(50_000);
        nic.expect(CLIENT, FIN | ACK, [1_011, 5_001], 0, true);
        nic.expect(SERVER, ACK, [5_001, 1_012], 0, true);
        for seconds in [0, 1, 3, 9] {
            nic.wait(seconds);
            nic.age();
            nic.expect(SERVER, ACK, [5_001, 1_012], 1_000, true);
            nic.expect(SERVER, FIN | ACK, [6_001, 1_012], 0, true);
            assert_eq!(nic.states(), [State::Established as u8]);
        }
        nic.expect(CLIENT, ACK, [1_012, 6_002], 0, true);
        assert_eq!(nic.states(), [State::Closing as u8]);
    });
}
